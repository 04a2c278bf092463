import { monitorEventLoopDelay } from 'node:perf_hooks';

import type { Clock } from '../shared/clock.ts';
import { errorMessage } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import { startOpsServer, type Check, type OpsServer } from '../shared/ops-server.ts';
import type { OperatorConfig } from './config.ts';
import type { ControllerContext, ControllerFactory } from './controller/context.ts';
import { Controller } from './controller/controller.ts';
import { liveness, readiness, type HealthFacts, type HealthLimits } from './health.ts';
import { ApiClient } from './kube/client.ts';
import { isConflict, isForbidden, isInvalid } from './kube/errors.ts';
import { EventWriter } from './kube/events.ts';
import { LEASE_TIMING, LeaderElection, type LeaseTiming } from './kube/leader-election.ts';
import type { ReflectorTiming } from './kube/reflector.ts';
import type { Transport } from './kube/transport.ts';
import { WorkQueue } from './kube/work-queue.ts';
import type { OperatorMetrics } from './metrics.ts';
import { Reflections } from './reflections.ts';

export interface ManagerOptions {
  readonly config: OperatorConfig;
  readonly transport: Transport;
  readonly createController: ControllerFactory;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly fetch: typeof globalThis.fetch;
  readonly logger: Logger;
  readonly metrics: OperatorMetrics;
  /** Unique for this process. */
  readonly identity: string;
  /** Called when this process must end at once because it may not write any more. */
  readonly onLost: () => void;
  readonly timing?: { readonly lease?: LeaseTiming; readonly reflector?: Partial<ReflectorTiming> };
}

const RECONCILE_DEADLINE_MS = 2 * 60_000;
/** Time for running reconciles to end by themselves when the operator stops. */
const DRAIN_MS = 10_000;
const SYNC_POLL_MS = 20;
/** Longer than any wait of a reflector that is well. */
const STUCK_MS = 10 * 60_000;
const EVENT_RATE = { perSecond: 5, burst: 25 };
const LEASE_RATE = { perSecond: 10, burst: 10 };

/**
 * The running operator: ops server, caches, leader election and one controller, started and stopped in order. Caches
 * are filled before this process leads, so that a successor starts at once.
 */
export class Manager {
  readonly #options: ManagerOptions;
  readonly #running = new AbortController();
  readonly #working = new AbortController();
  readonly #election: LeaderElection | undefined;
  readonly #queue: WorkQueue;
  readonly #reflections: Reflections;
  readonly #events: EventWriter;
  readonly #client: ApiClient;
  readonly #loopDelay = monitorEventLoopDelay({ resolution: 20 });
  #ops: OpsServer | undefined;
  #caches: Promise<void> = Promise.resolve();
  #leading: Promise<void> = Promise.resolve();
  #work: Promise<void> = Promise.resolve();

  constructor(options: ManagerOptions) {
    const { clock, random, metrics, logger, transport, config } = options;
    this.#options = options;
    const parts = { transport, clock, metrics };
    this.#election = createElection(options);
    const fence = this.#election ? { mustHoldLease: this.#election.mustHold } : {};
    this.#client = new ApiClient({ ...parts, ...fence });
    this.#events = new EventWriter({
      client: new ApiClient({ ...parts, ...fence, rate: EVENT_RATE }),
      reportingController: 'registry-operator.dev/operator',
      reportingInstance: config.instance,
      clock,
      logger,
      metrics,
    });
    this.#queue = new WorkQueue({ name: 'registry', clock, metrics });
    this.#reflections = new Reflections({
      client: this.#client,
      namespaces: config.watchNamespaces,
      enqueue: (key) => this.#queue.add(key),
      clock,
      random,
      logger,
      metrics,
      timing: options.timing?.reflector,
    });
  }

  /** Requests to the API server so far, by `<verb> <resource>`; leases and events apart. */
  get requestCounts(): ReadonlyMap<string, number> {
    return this.#client.requestCounts;
  }

  /** Port of the ops server. */
  get opsPort(): number | undefined {
    return this.#ops?.port;
  }

  /** @throws the listening error of Node when the ops port is taken */
  async start(): Promise<void> {
    const { config, logger, metrics } = this.#options;
    metrics.buildInfo.set({ version: config.version, node_version: process.version }, 1);
    this.#loopDelay.enable();
    this.#ops = await startOpsServer({
      listen: config.opsListen,
      livez: async () => this.#livez(),
      readyz: async (verbose) => readiness(this.#health(), verbose),
      metrics: () => this.#metrics(),
    });
    const definition = this.#options.createController(this.#context());
    const controller = new Controller({
      name: definition.name,
      reconcile: (key, signal) => definition.reconcile(key, signal),
      queue: this.#queue,
      workers: config.workers,
      deadlineMs: RECONCILE_DEADLINE_MS,
      isConflict,
      isRefusal: (error) => isInvalid(error) || isForbidden(error),
      clock: this.#options.clock,
      logger,
      metrics,
    });
    this.#caches = this.#reflections.run(this.#running.signal);
    this.#leading = this.#lead(controller).catch((error: unknown) => {
      if (!this.#running.signal.aborted) logger.error({ err: error }, 'leading failed');
    });
    logger.info(
      { version: config.version, namespaces: config.watchNamespaces, opsPort: this.#ops.port },
      'started',
    );
  }

  /** Lets running reconciles end, gives the lease back and closes everything. */
  async stop(reason: string): Promise<void> {
    const { logger, transport } = this.#options;
    logger.info({ reason }, 'stopping');
    this.#queue.shutDown();
    // Nothing runs yet that could end by itself.
    if (!this.#reflections.hasSynced()) this.#working.abort(new Error('the operator stops'));
    await this.#within(DRAIN_MS, this.#work);
    this.#working.abort(new Error('the operator stops'));
    await this.#within(DRAIN_MS, Promise.all([this.#work, this.#events.flush()]));
    this.#running.abort(new Error('the operator stops'));
    await this.#leading;
    // Nothing writes any more: the fence of the clients falls with the lease.
    await this.#election?.release();
    await this.#caches;
    this.#loopDelay.disable();
    await this.#ops?.close();
    transport.close();
    logger.info('stopped');
  }

  async #lead(controller: Controller): Promise<void> {
    const { logger, metrics, config } = this.#options;
    const { signal } = this.#running;
    const leader = { name: config.lease?.name ?? 'registry-operator' };
    metrics.leader.set(leader, 0);
    if (config.lease) logger.info({ lease: config.lease }, 'waiting for the lease');
    await this.#election?.acquire(signal);
    metrics.leader.set(leader, 1);
    logger.info({ identity: this.#options.identity }, 'leading');
    this.#work = this.#workWhenSynced(controller);
    if ((await this.#election?.keep(signal)) !== 'lost') return;
    metrics.leader.set(leader, 0);
    this.#working.abort(new Error('the lease is lost'));
    logger.error('the lease is lost');
    this.#options.onLost();
  }

  async #workWhenSynced(controller: Controller): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#working;
    try {
      while (!this.#reflections.hasSynced()) await clock.sleep(SYNC_POLL_MS, signal);
      logger.info('caches have synced, working');
      await controller.run(signal);
    } catch (error) {
      if (!signal.aborted) logger.error({ error: errorMessage(error) }, 'working failed');
    }
  }

  async #within(ms: number, work: Promise<unknown>): Promise<void> {
    const finished = new AbortController();
    const limit = this.#options.clock.sleep(ms, finished.signal).catch(() => undefined);
    await Promise.race([work, limit]);
    finished.abort();
  }

  #context(): ControllerContext {
    const { clock, metrics, config, fetch } = this.#options;
    return {
      client: this.#client,
      events: this.#events,
      clock,
      logger: this.#options.logger,
      metrics,
      config,
      signal: this.#running.signal,
      fetch,
      reflect: (options) => this.#reflections.add(options),
      queueAdd: (key, afterMs = 0) => this.#queue.addAfter(key, afterMs),
    };
  }

  #livez(): Check {
    const check = liveness(this.#health(), this.#limits());
    this.#loopDelay.reset();
    return check;
  }

  #health(): HealthFacts {
    const election = this.#election;
    // Nanoseconds.
    const loopDelayMs = this.#loopDelay.percentile(99) / 1e6;
    return {
      lease: election ? { holds: election.holds(), stale: election.isStale() } : undefined,
      watches: this.#reflections.facts(),
      loopDelayMs,
    };
  }

  #limits(): HealthLimits {
    const { renewDeadlineMs } = this.#options.timing?.lease ?? LEASE_TIMING;
    return { loopDelayMs: renewDeadlineMs / 2, stuckMs: STUCK_MS };
  }

  async #metrics(): Promise<{ contentType: string; body: string }> {
    const { metrics } = this.#options;
    this.#queue.observe();
    for (const { resource, namespace = '', silentMs } of this.#reflections.facts())
      metrics.watchAge.set({ resource, namespace }, silentMs / 1000);
    return { contentType: metrics.registry.contentType, body: await metrics.registry.metrics() };
  }
}

function createElection(options: ManagerOptions): LeaderElection | undefined {
  const { config, transport, clock, random, metrics, logger, identity } = options;
  if (!config.lease) return undefined;
  return new LeaderElection({
    client: new ApiClient({ transport, clock, metrics, rate: LEASE_RATE }),
    lease: config.lease,
    identity,
    ...(options.timing?.lease ? { timing: options.timing.lease } : {}),
    clock,
    random,
    logger,
  });
}
