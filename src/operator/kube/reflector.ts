import type { Clock } from '../../shared/clock.ts';
import { errorMessage } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { OperatorMetrics } from '../metrics.ts';
import { exponentialMs } from './backoff.ts';
import type { ListWatcher } from './client.ts';
import { ApiError, isExpired, isNotFound } from './errors.ts';
import { ObjectStore, type IndexedStore, type Indexers, type StoreChange } from './store.ts';
import type { KubeObject, ResourceKind } from './types.ts';
import { readWatch, type WatchItem } from './watch.ts';

export interface ReflectorOptions<T extends KubeObject = KubeObject> {
  readonly client: ListWatcher;
  readonly kind: ResourceKind;
  /** Unset: all namespaces. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** Fetches and keeps `metadata` alone. */
  readonly metadataOnly?: boolean | undefined;
  /** The kind may not be installed: then the store is empty, synced, and the API server is asked again later. */
  readonly optional?: boolean | undefined;
  readonly indexers?: Indexers<T> | undefined;
  /** Told when an optional kind comes or goes; not what is found at the start. */
  readonly onPresence?: ((present: boolean) => void) | undefined;
  /** Told every change, in order. What it throws is logged and stops nothing. */
  onChange(change: StoreChange<T>): void;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics: OperatorMetrics;
  readonly timing?: Partial<ReflectorTiming>;
}

/** Milliseconds, except where said. */
export interface ReflectorTiming {
  /** A watch that is silent for so long is given up; bookmarks come about every minute. */
  readonly idleMs: number;
  readonly backoff: { readonly firstMs: number; readonly maxMs: number };
  /** Time without a failure after which the backoff begins anew. */
  readonly healthyMs: number;
  /** Time until an optional kind that is not installed is looked for again. */
  readonly absentMs: number;
  /** Objects in one page of a list. */
  readonly pageSize: number;
}

const TIMING: ReflectorTiming = {
  idleMs: 90_000,
  backoff: { firstMs: 800, maxMs: 30_000 },
  healthyMs: 120_000,
  absentMs: 30_000,
  pageSize: 500,
};

const WATCH_SECONDS = { min: 300, max: 600 };
/** A watch that ends sooner without a word counts as failed, or a broken API server would be asked in a tight loop. */
const SHORT_WATCH_MS = 1000;

/**
 * Keeps a store equal to what the API server has of one kind: a complete list, then a watch from its
 * resourceVersion on, for ever. A watch that ends is opened again where it stopped; when the API server no longer
 * knows that version (410) everything is listed again, and the store tells the difference. Nothing but the signal
 * ends it.
 */
export class Reflector<T extends KubeObject = KubeObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #timing: ReflectorTiming;
  readonly #store: ObjectStore<T>;
  #resourceVersion: string | undefined;
  #present: boolean | undefined;
  #heardAt: number;
  #activeAt: number;
  #failures = 0;
  #failedAt = -Infinity;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    this.#store = new ObjectStore(options.indexers);
    this.#heardAt = options.clock.monotonic();
    this.#activeAt = this.#heardAt;
  }

  get store(): IndexedStore<T> {
    return this.#store;
  }

  get kind(): ResourceKind {
    return this.#options.kind;
  }

  get namespace(): string | undefined {
    return this.#options.namespace;
  }

  /** Milliseconds since the API server last said something about this kind. */
  silentMs(): number {
    return this.#options.clock.monotonic() - this.#heardAt;
  }

  /** Milliseconds since this loop last did anything, a failed attempt included; large means that it hangs. */
  stuckMs(): number {
    return this.#options.clock.monotonic() - this.#activeAt;
  }

  /** Lists and watches until the signal is aborted; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const wait = await this.#round(signal).catch((error: unknown) => this.#failed(error, signal));
      this.#activeAt = this.#options.clock.monotonic();
      if (wait > 0) await this.#sleep(wait, signal);
    }
  }

  /** @returns milliseconds to wait before the next round */
  async #round(signal: AbortSignal): Promise<number> {
    if (this.#resourceVersion === undefined) {
      const present = await this.#relist(signal);
      if (!present) return this.#timing.absentMs;
    }
    const begun = this.#options.clock.monotonic();
    const items = await this.#watch(signal);
    const lasted = this.#options.clock.monotonic() - begun;
    return items === 0 && lasted < SHORT_WATCH_MS ? this.#backoff() : 0;
  }

  /** @returns false when the kind is optional and not installed */
  async #relist(signal: AbortSignal): Promise<boolean> {
    const { kind, metrics, optional } = this.#options;
    try {
      const { items, resourceVersion } = await this.#listAll(signal);
      metrics.relists.inc({ resource: kind.plural });
      this.#heard();
      this.#setPresent(true);
      this.#tell(this.#store.replaceAll(items));
      this.#resourceVersion = resourceVersion;
      return true;
    } catch (error) {
      if (optional !== true || !isNotFound(error)) throw error;
      this.#heard();
      this.#setPresent(false);
      this.#tell(this.#store.replaceAll([]));
      return false;
    }
  }

  #setPresent(present: boolean): void {
    const known = this.#present;
    this.#present = present;
    if (known !== undefined && known !== present) this.#options.onPresence?.(present);
  }

  async #listAll(signal: AbortSignal): Promise<{ items: T[]; resourceVersion: string }> {
    const { client, kind } = this.#options;
    const items: T[] = [];
    let continueToken: string | undefined;
    for (;;) {
      const page = await client.list<T>(kind, {
        ...this.#selection(),
        limit: this.#timing.pageSize,
        continueToken,
        signal,
      });
      signal.throwIfAborted();
      this.#heard();
      items.push(...page.items.map((item) => this.#reduced(item)));
      if (page.continueToken === undefined) return { items, resourceVersion: page.resourceVersion };
      continueToken = page.continueToken;
    }
  }

  /** @returns how many events came before the API server ended the watch in the regular way */
  async #watch(signal: AbortSignal): Promise<number> {
    const { client, kind, random } = this.#options;
    const idle = new IdleLimit(this.#timing.idleMs, signal);
    try {
      const stream = await client.watch(kind, {
        ...this.#selection(),
        resourceVersion: this.#resourceVersion ?? '',
        timeoutSeconds: Math.floor(WATCH_SECONDS.min + random() * (WATCH_SECONDS.max - WATCH_SECONDS.min)),
        signal: idle.signal,
      });
      const heard = (): void => {
        this.#heard();
        idle.restart();
      };
      heard();
      let items = 0;
      for await (const item of readWatch<T>(stream, kind, heard)) {
        signal.throwIfAborted();
        this.#take(item);
        items += 1;
      }
      return items;
    } finally {
      idle.stop();
    }
  }

  #take(item: WatchItem<T>): void {
    if (item.type === 'put') this.#tell(this.#store.put(this.#reduced(item.object)));
    if (item.type === 'remove') this.#tell(this.#store.remove(this.#reduced(item.object)));
    this.#resourceVersion = item.resourceVersion;
  }

  #tell(changes: readonly StoreChange<T>[]): void {
    const { logger, kind } = this.#options;
    for (const change of changes) {
      try {
        this.#options.onChange(change);
      } catch (error) {
        logger.error({ err: error, resource: kind.plural }, 'a handler of changes failed');
      }
    }
  }

  /** @returns milliseconds to wait before the next round */
  #failed(error: unknown, signal: AbortSignal): number {
    if (signal.aborted) return 0;
    const { kind, namespace, logger, metrics } = this.#options;
    // Not found: the kind was uninstalled, and with it all of its objects, which only a list can tell.
    if (isExpired(error) || isNotFound(error)) this.#resourceVersion = undefined;
    metrics.watchFailures.inc({ resource: kind.plural });
    const retryAfter = error instanceof ApiError ? (error.retryAfter ?? 0) * 1000 : 0;
    const backoff = this.#backoff();
    // Listing again is the cure for the first 410; only a second one in a row means that the cure does not help.
    const wait = isExpired(error) && this.#failures === 1 ? 0 : Math.max(retryAfter, backoff);
    const fields = { resource: kind.plural, namespace, error: errorMessage(error), waitMs: Math.round(wait) };
    logger[this.#failures > 1 ? 'warn' : 'debug'](fields, 'a list or watch ended with an error');
    return wait;
  }

  #backoff(): number {
    const { clock, random } = this.#options;
    const now = clock.monotonic();
    this.#failures = now - this.#failedAt > this.#timing.healthyMs ? 1 : this.#failures + 1;
    this.#failedAt = now;
    return random() * exponentialMs(this.#timing.backoff, this.#failures);
  }

  #heard(): void {
    this.#heardAt = this.#options.clock.monotonic();
    this.#activeAt = this.#heardAt;
  }

  #selection(): Pick<ReflectorOptions, 'namespace' | 'labelSelector' | 'fieldSelector' | 'metadataOnly'> {
    const { namespace, labelSelector, fieldSelector, metadataOnly } = this.#options;
    return { namespace, labelSelector, fieldSelector, metadataOnly };
  }

  /** An API server that cannot reduce objects to their metadata sends them whole. */
  #reduced(object: T): T {
    if (this.#options.metadataOnly !== true) return object;
    for (const member of Object.keys(object)) {
      if (member !== 'apiVersion' && member !== 'kind' && member !== 'metadata')
        Reflect.deleteProperty(object, member);
    }
    return object;
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#options.clock.sleep(ms, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}

/** Ends a watch on which nothing arrives: a connection that a firewall dropped looks like a quiet one. */
class IdleLimit {
  readonly #ms: number;
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #onAbort = (): void => this.#controller.abort(this.#outer.reason);
  #timer: NodeJS.Timeout;

  constructor(ms: number, outer: AbortSignal) {
    this.#ms = ms;
    this.#outer = outer;
    outer.addEventListener('abort', this.#onAbort, { once: true });
    this.#timer = this.#start();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  restart(): void {
    clearTimeout(this.#timer);
    this.#timer = this.#start();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener('abort', this.#onAbort);
  }

  #start(): NodeJS.Timeout {
    return setTimeout(
      () => this.#controller.abort(new Error(`nothing arrived for ${this.#ms} ms`)),
      this.#ms,
    );
  }
}
