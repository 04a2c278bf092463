import type { Clock } from '../shared/clock.ts';
import type { Logger } from '../shared/logger.ts';
import type { ReflectOptions } from './controller/context.ts';
import type { WatchFacts } from './health.ts';
import type { ListWatcher } from './kube/client.ts';
import { Reflector, type ReflectorTiming } from './kube/reflector.ts';
import { UnionStore, type IndexedStore, type StoreChange } from './kube/store.ts';
import type { KubeObject } from './kube/types.ts';
import type { OperatorMetrics } from './metrics.ts';

export interface ReflectionsOptions {
  readonly client: ListWatcher;
  /** Empty: all namespaces. */
  readonly namespaces: readonly string[];
  readonly enqueue: (key: string) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics: OperatorMetrics;
  readonly timing?: Partial<ReflectorTiming> | undefined;
}

/** All reflectors of the operator: one for each kind that a controller asked for, and for each watched namespace. */
export class Reflections {
  readonly #options: ReflectionsOptions;
  readonly #runners: {
    readonly facts: () => WatchFacts;
    readonly run: (signal: AbortSignal) => Promise<void>;
  }[] = [];

  constructor(options: ReflectionsOptions) {
    this.#options = options;
  }

  /** Makes the reflectors of one kind; they start with {@link run}. */
  add<T extends KubeObject>(options: ReflectOptions<T>): IndexedStore<T> {
    const { namespaces } = this.#options;
    const scopes = options.kind.namespaced && namespaces.length > 0 ? namespaces : [undefined];
    return new UnionStore(scopes.map((namespace) => this.#addOne(options, namespace)));
  }

  /** Runs until the signal is aborted; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#runners.map(({ run }) => run(signal)));
  }

  hasSynced(): boolean {
    return this.facts().every(({ synced }) => synced);
  }

  facts(): WatchFacts[] {
    return this.#runners.map(({ facts }) => facts());
  }

  #addOne<T extends KubeObject>(options: ReflectOptions<T>, namespace: string | undefined): IndexedStore<T> {
    const { client, clock, random, logger, metrics, timing } = this.#options;
    const reflector = new Reflector<T>({
      ...options,
      client,
      namespace,
      onChange: (change) => this.#changed(options, change),
      clock,
      random,
      logger,
      metrics,
      ...(timing ? { timing } : {}),
    });
    this.#runners.push({
      run: (signal) => reflector.run(signal),
      facts: () => ({
        resource: options.kind.plural,
        namespace,
        synced: reflector.store.hasSynced(),
        silentMs: reflector.silentMs(),
        stuckMs: reflector.stuckMs(),
      }),
    });
    return reflector.store;
  }

  #changed<T extends KubeObject>(options: ReflectOptions<T>, { type, object, old }: StoreChange<T>): void {
    for (const each of old ? [object, old] : [object]) this.#enqueue(options, each);
    options.onEvent?.(type, object, old);
  }

  /** A mapping that fails for one object must not keep the other object of an update from the queue. */
  #enqueue<T extends KubeObject>(options: ReflectOptions<T>, object: T): void {
    try {
      for (const key of options.keys?.(object) ?? []) this.#options.enqueue(key);
    } catch (error) {
      const { kind, metadata } = object;
      this.#options.logger.error(
        { err: error, kind, name: metadata.name },
        'a change could not be mapped to keys',
      );
    }
  }
}
