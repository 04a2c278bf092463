import cluster from 'node:cluster';
import { fileURLToPath } from 'node:url';

import { formatAddress, parseAddress } from '../../shared/address.ts';
import { systemClock } from '../../shared/clock.ts';
import { createLogger, standardOutput, type Logger } from '../../shared/logger.ts';
import { startOpsServer, type Check, type OpsServer } from '../../shared/ops-server.ts';
import type { ConfigSource, Snapshot } from '../config/snapshot.ts';
import { ListenFailed } from '../http/listen-failed.ts';
import { levelOf } from '../log-level.ts';
import { combinedReport } from './combined-report.ts';
import type { Order } from './messages.ts';
import { ProcessGroup } from './process-group.ts';
import { type News, ServingProcess } from './serving-process.ts';
import { SummedMetrics } from './summed-metrics.ts';
import { SupervisorMetrics } from './supervisor-metrics.ts';
import { WholeLines } from './whole-lines.ts';

/** A process that has not answered after this time is taken for stuck; checks of the storage take up to 5 s. */
const ANSWER_MS = 6000;
/** What a process may need to close everything after its last request, in milliseconds. */
const CLOSE_MS = 10_000;

export interface SupervisorOptions {
  readonly source: ConfigSource;
  /** What `source` said at the start. */
  readonly snapshot: Snapshot;
  /** Processes that serve; at least two. */
  readonly count: number;
  readonly version: string;
}

/**
 * Several processes that serve on one port as one server: this one starts and replaces them, and has the operations
 * port. Storage, requests and secrets are theirs alone.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #logger: Logger;
  readonly #output = standardOutput();
  readonly #group: ProcessGroup<ServingProcess>;
  readonly #metrics = new SupervisorMetrics(() => this.#serving().length);
  readonly #sums = new SummedMetrics<ServingProcess>();
  #isCatalogCompared = false;
  #ops: OpsServer | undefined;
  #draining = false;

  /**
   * Starts all processes and listens.
   *
   * @throws ProcessFailed, ListenFailed
   */
  static async start(options: SupervisorOptions): Promise<Supervisor> {
    const supervisor = new Supervisor(options);
    const url = await supervisor.#group.start();
    await supervisor.#openOps(url);
    return supervisor;
  }

  private constructor(options: SupervisorOptions) {
    this.#options = options;
    const level = levelOf(options.snapshot.config.logging);
    this.#logger = createLogger({ level, destination: this.#output });
    this.#group = new ProcessGroup({
      count: options.count,
      clock: systemClock,
      launch: (number, news) => this.#launch(number, news),
      order: (number) => this.#startOrder(number),
      news: (process, notice) => this.#heard(process, notice),
      ended: (process) => this.#sums.ended(process),
      lost: (loss) => {
        this.#metrics.processLost();
        this.#logger.warn({ ...loss }, 'a process ended, and is replaced');
      },
    });
  }

  /** All processes look at the configuration and its files now. */
  reload(): void {
    this.#tellAll({ type: 'reload' });
  }

  /** Is not ready any more, and lets every process finish what runs. */
  async stop(reason: string): Promise<void> {
    this.#draining = true;
    this.#logger.info({ reason }, 'stopping');
    const { drainSeconds } = this.#options.snapshot.config.http;
    await this.#group.stop(reason, drainSeconds * 1000 + CLOSE_MS);
    await this.#ops?.close();
    this.#logger.info({}, 'stopped');
  }

  #launch(number: number, news: (notice: News) => void): ServingProcess {
    // All processes have the one socket: a connection waits for whoever takes it, also when one of them ends.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({
      exec: servingProgram(),
      args: [],
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    const lines = new WholeLines((text) => this.#output.write(text));
    return new ServingProcess(number, cluster.fork(), { news, output: (chunk) => lines.push(chunk) });
  }

  #startOrder(number: number): Order {
    const { count, snapshot, source } = this.#options;
    return {
      type: 'start',
      share: { number, count },
      source: {
        name: source.name,
        text: new TextDecoder().decode(snapshot.bytes),
        ...(source.file === undefined ? {} : { file: source.file }),
      },
      catalogCompared: this.#isCatalogCompared,
    };
  }

  #heard(process: ServingProcess, notice: News): void {
    switch (notice.type) {
      case 'catalog-compared':
        this.#isCatalogCompared = true;
        this.#tellAll(notice);
        break;
      case 'log-level':
        this.#logger.level = notice.level;
        break;
      case 'last-metrics':
        this.#sums.heard(process, notice.metrics);
        break;
      case 'hello':
      case 'listening':
      case 'failed':
      default:
    }
  }

  #tellAll(order: Order): void {
    for (const process of this.#group.running) process.tell(order);
  }

  async #openOps(url: string): Promise<void> {
    const { count, snapshot, version } = this.#options;
    const { ops, storage } = snapshot.config;
    const address = parseAddress(ops.listen);
    this.#ops = await this.#startOps(address);
    const opsListen = formatAddress({ ...address, port: this.#ops.port });
    const fields = { version, url, ops: opsListen, storage: storage.driver, processes: count };
    this.#logger.info(fields, 'listening');
  }

  async #startOps(listen: { host: string; port: number }): Promise<OpsServer> {
    try {
      return await startOpsServer({
        listen,
        livez: () => this.#livez(),
        readyz: (verbose) => this.#readyz(verbose),
        metrics: () => this.#renderMetrics(),
      });
    } catch (error) {
      await this.#group.stop('cannot start', 0);
      throw new ListenFailed(listen, error);
    }
  }

  #serving(): readonly ServingProcess[] {
    return this.#group.serving.filter((process) => process !== undefined);
  }

  /** A process that has ended is replaced here, but one that does not answer can only be restarted with all others. */
  async #livez(): Promise<Check> {
    const serving = this.#serving();
    const beats = await Promise.all(serving.map((process) => process.answers(ANSWER_MS)));
    const stuck = serving.find((process, index) => beats[index] === false && this.#isServing(process));
    if (stuck === undefined) return { ok: true, body: 'ok' };
    return { ok: false, body: `process ${stuck.number} does not answer` };
  }

  #isServing(process: ServingProcess): boolean {
    return this.#group.serving.includes(process);
  }

  async #readyz(verbose: boolean): Promise<Check> {
    const reports = await Promise.all(this.#group.serving.map(async (process) => process?.report(ANSWER_MS)));
    const { version } = this.#options;
    const report = combinedReport(reports, { version, draining: this.#draining });
    return { ok: report.status === 'ready', body: verbose ? report : report.status };
  }

  async #renderMetrics(): Promise<{ contentType: string; body: string }> {
    const asked = this.#serving().map(async (process) => {
      const metrics = await process.metrics(ANSWER_MS);
      if (metrics && this.#isServing(process)) this.#sums.heard(process, metrics);
    });
    const [own] = await Promise.all([this.#metrics.snapshot(), ...asked]);
    return this.#sums.render(own);
  }
}

/** The source beside this one, or the bundle beside this bundle. */
function servingProgram(): string {
  const name = import.meta.url.endsWith('.ts') ? './serving-main.ts' : './serving-process.js';
  return fileURLToPath(new URL(name, import.meta.url));
}
