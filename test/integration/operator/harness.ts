import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

import { parseAllDocuments } from 'yaml';

import { Controller } from '../../../src/operator/controller/controller.ts';
import { createRegistryController } from '../../../src/operator/controllers/registry/index.ts';
import { read, readList } from '../../../src/operator/controllers/registry/read.ts';
import { ApiClient } from '../../../src/operator/kube/client.ts';
import { isConflict } from '../../../src/operator/kube/errors.ts';
import { KINDS } from '../../../src/operator/kube/kinds.ts';
import { loadKubeConfig } from '../../../src/operator/kube/kube-config.ts';
import { Transport } from '../../../src/operator/kube/transport.ts';
import type {
  EventRecorder,
  KubeClient,
  KubeObject,
  ResourceKind,
} from '../../../src/operator/kube/types.ts';
import { WorkQueue } from '../../../src/operator/kube/work-queue.ts';
import { createOperatorMetrics } from '../../../src/operator/metrics.ts';
import { Reflections } from '../../../src/operator/reflections.ts';
import { type Clock, systemClock } from '../../../src/shared/clock.ts';
import { createLogger } from '../../../src/shared/logger.ts';
import type { ApiServer } from '../../servers/api-server.ts';

/** Runs the Registry controller in this process, against a real API server without kubelet and controllers. */

export const REGISTRY: ResourceKind = {
  apiVersion: 'registry-operator.dev/v1alpha1',
  kind: 'Registry',
  plural: 'registries',
  namespaced: true,
};

/** Longest time for anything that a test waits for. */
const PATIENCE_MS = 20_000;

/** Fast enough for tests: the limits of the client are not what is tested here. */
const RATE = { perSecond: 1000, burst: 1000 };

export interface SeenEvent {
  readonly type: string;
  readonly reason: string;
  readonly note: string;
}

export interface Operator {
  /** Requests that changed something, by `<verb> <plural>`. */
  readonly writes: readonly string[];
  /** Reconciles that have ended, by key. */
  readonly reconciles: ReadonlyMap<string, number>;
  /** Whether a reconcile is under way or waits. */
  isBusy(): boolean;
  readonly events: readonly SeenEvent[];
  /** What reconciles have thrown. */
  readonly errors: readonly unknown[];
  /** Runs a reconcile although nothing has changed, and waits for its end. */
  reconcile(key: string): Promise<void>;
  stop(): Promise<void>;
}

export interface OperatorOptions {
  readonly namespace: string;
  readonly clock?: Clock;
  readonly fetch?: typeof globalThis.fetch;
  readonly image?: string;
  /** The process dies right after this many writes: no later call of it reaches the API server. */
  readonly dieAfterWrites?: number;
}

/** A client that may do everything, for what users and the rest of Kubernetes do. */
export function adminClient(server: ApiServer): { client: ApiClient; close: () => void } {
  const transport = new Transport({ config: loadKubeConfig(server.kubeconfigPath), userAgent: 'test' });
  const client = new ApiClient({
    transport,
    clock: systemClock,
    metrics: createOperatorMetrics(),
    rate: RATE,
  });
  return { client, close: () => transport.close() };
}

export async function installCrds(admin: KubeClient): Promise<void> {
  const file = new URL('../../../crds/registries.yaml', import.meta.url);
  for (const document of parseAllDocuments(await readFile(file, 'utf8'))) {
    await admin.create(KINDS.customResourceDefinition, document.toJS() as KubeObject);
  }
  const key = { namespace: undefined, name: 'registries.registry-operator.dev' };
  await until(async () => {
    const crd = await admin.get(KINDS.customResourceDefinition, key);
    const conditions = readList(crd, 'status', 'conditions');
    return conditions.some(
      (entry) => read(entry, 'type') === 'Established' && read(entry, 'status') === 'True',
    );
  }, 'the resource definition to be served');
}

/** Waits until a condition holds. @throws Error that names it */
export async function until(holds: () => Promise<boolean> | boolean, what: string): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`waited ${PATIENCE_MS} ms in vain for ${what}`);
    await delay(25);
  }
}

export async function startOperator(server: ApiServer, options: OperatorOptions): Promise<Operator> {
  const transport = new Transport({ config: loadKubeConfig(server.kubeconfigPath), userAgent: 'operator' });
  const metrics = createOperatorMetrics();
  const logger = createLogger({ level: 'silent' });
  const clock = options.clock ?? systemClock;
  const parts = { clock: systemClock, metrics, logger };
  const api = new ApiClient({ transport, clock: systemClock, metrics, rate: RATE });
  const mortal = new MortalClient(api, options.dieAfterWrites ?? Number.POSITIVE_INFINITY);
  const queue = new WorkQueue({ name: 'registry', clock: systemClock, metrics });
  const reflections = new Reflections({
    ...parts,
    client: api,
    namespaces: [options.namespace],
    enqueue: (key) => queue.add(key),
    random: Math.random,
    timing: { absentMs: 100 },
  });
  const stopping = new AbortController();
  const events: SeenEvent[] = [];
  const recorder: EventRecorder = {
    event: (_, { type, reason, note }) => events.push({ type, reason, note }),
  };
  const definition = createRegistryController(
    {
      client: mortal,
      events: recorder,
      clock,
      logger,
      metrics,
      config: {
        watchNamespaces: [options.namespace],
        operandImage: options.image ?? 'registry:test',
        clusterDomain: 'cluster.local',
        version: '0.0.0-test',
      },
      signal: stopping.signal,
      fetch: options.fetch ?? (() => Promise.reject(new Error('there are no pods'))),
      reflect: (request) => reflections.add(request),
      queueAdd: (key, afterMs = 0) => queue.addAfter(key, afterMs),
    },
    randomBytes,
  );
  const reconciles = new Map<string, number>();
  let running = 0;
  const errors: unknown[] = [];
  const controller = new Controller({
    ...parts,
    name: definition.name,
    queue,
    workers: 2,
    deadlineMs: PATIENCE_MS,
    isConflict,
    reconcile: async (key, signal) => {
      running += 1;
      try {
        return await definition.reconcile(key, signal);
      } catch (error) {
        errors.push(error);
        throw error;
      } finally {
        running -= 1;
        reconciles.set(key, (reconciles.get(key) ?? 0) + 1);
      }
    },
  });
  const watching = reflections.run(stopping.signal);
  await until(() => reflections.hasSynced(), 'the caches to sync');
  const working = controller.run(stopping.signal);
  return {
    writes: mortal.writes,
    reconciles,
    isBusy: () => running > 0 || queue.depth > 0,
    events,
    errors,
    reconcile: async (key) => {
      const before = reconciles.get(key) ?? 0;
      queue.add(key);
      await until(() => (reconciles.get(key) ?? 0) > before, `a reconcile of ${key}`);
    },
    stop: async () => {
      stopping.abort(new Error('the test has ended'));
      queue.shutDown();
      await Promise.all([watching, working]);
      transport.close();
    },
  };
}

/** Counts writes, and stops to reach the API server after so many of them, as if the process had been killed. */
class MortalClient implements KubeClient {
  readonly writes: string[] = [];
  readonly #client: KubeClient;
  readonly #limit: number;

  constructor(client: KubeClient, limit: number) {
    this.#client = client;
    this.#limit = limit;
  }

  get get(): KubeClient['get'] {
    this.#mustLive();
    return this.#client.get.bind(this.#client);
  }

  get serves(): KubeClient['serves'] {
    this.#mustLive();
    return this.#client.serves.bind(this.#client);
  }

  get create(): KubeClient['create'] {
    return (kind, object, options) =>
      this.#write(`create ${kind.plural}`, () => this.#client.create(kind, object, options));
  }

  get replace(): KubeClient['replace'] {
    return (kind, object, options) =>
      this.#write(`replace ${kind.plural}`, () => this.#client.replace(kind, object, options));
  }

  get apply(): KubeClient['apply'] {
    return (kind, object, options) => {
      const resource =
        options.subresource === undefined ? kind.plural : `${kind.plural}/${options.subresource}`;
      return this.#write(`apply ${resource}`, () => this.#client.apply(kind, object, options));
    };
  }

  get mergePatch(): KubeClient['mergePatch'] {
    return (kind, key, patch, options) =>
      this.#write(`patch ${kind.plural}`, () => this.#client.mergePatch(kind, key, patch, options));
  }

  get delete(): KubeClient['delete'] {
    return (kind, key, options) =>
      this.#write(`delete ${kind.plural}`, () => this.#client.delete(kind, key, options));
  }

  async #write<T>(name: string, send: () => Promise<T>): Promise<T> {
    this.#mustLive();
    this.writes.push(name);
    const answer = await send();
    this.#mustLive();
    return answer;
  }

  #mustLive(): void {
    if (this.writes.length >= this.#limit) throw new Error('killed');
  }
}
