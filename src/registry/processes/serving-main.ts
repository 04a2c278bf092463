import { systemClock } from '../../shared/clock.ts';
import { createLogger, type Logger } from '../../shared/logger.ts';
import { VERSION } from '../../shared/version.ts';
import { fileSource, type ConfigSource, type Snapshot } from '../config/snapshot.ts';
import { failureText } from '../failure-text.ts';
import { levelOf } from '../log-level.ts';
import { RegistryMetrics } from '../metrics.ts';
import { RegistryServer } from '../server.ts';
import { keepYoungMemorySmall } from '../young-memory.ts';
import { joiningSnapshot } from './joining-snapshot.ts';
import { isOrder, type Notice, type Order, type Question, type StartOrder } from './messages.ts';

/**
 * One of the processes that serve on one port. It does what the supervisor says, and ends with it: node:cluster ends a
 * process whose channel has closed, also after a SIGKILL of the supervisor.
 */
class ServingProgram {
  readonly #metrics = new RegistryMetrics(VERSION);
  #server: Promise<RegistryServer> | undefined;
  #stopping = false;

  /** Failures of what an order begins are told by that order. */
  obey(order: Order): void {
    switch (order.type) {
      case 'start':
        void this.#start(order);
        break;
      case 'ask':
        void this.#answer(order.id, order.question);
        break;
      case 'catalog-compared':
        this.#whenServing((server) => server.useCatalogIndex());
        break;
      case 'reload':
        this.reload();
        break;
      case 'stop':
      default:
        void this.stop(order.reason);
    }
  }

  reload(): void {
    this.#whenServing((server) => void server.reload());
  }

  /** Drains, tells the metrics as they will stay, and ends the process. */
  async stop(reason: string): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    let code = 0;
    try {
      const server = await this.#server;
      await server?.stop(reason);
    } catch (error) {
      process.stderr.write(`registry: ${failureText(error)}\n`);
      code = 1;
    }
    await tell({ type: 'last-metrics', metrics: await this.#metrics.snapshot() });
    process.exit(code);
  }

  /** A server that cannot start has told so, and ends. */
  #whenServing(work: (server: RegistryServer) => void): void {
    void this.#server?.then(work, () => undefined);
  }

  async #start(order: StartOrder): Promise<void> {
    try {
      this.#server = this.#serve(order);
      const server = await this.#server;
      if (order.catalogCompared) server.useCatalogIndex();
      // What was changed since the supervisor has read it.
      await server.reload();
      await tell({ type: 'listening', url: server.url });
    } catch (error) {
      await tell({ type: 'failed', message: failureText(error) });
      process.exit(1);
    }
  }

  async #serve({ share, source: description }: StartOrder): Promise<RegistryServer> {
    const source = sourceOf(description);
    const snapshot = await joiningSnapshot(source, description.text);
    return RegistryServer.start({
      source,
      snapshot,
      version: VERSION,
      clock: systemClock,
      logger: loggerOf(snapshot, share.number),
      metrics: this.#metrics,
      memoryLimit: process.constrainedMemory(),
      share,
      onCatalogCompared: () => void tell({ type: 'catalog-compared' }),
    });
  }

  async #answer(id: number, question: Question): Promise<void> {
    switch (question) {
      case 'report': {
        const report = await (await this.#server)?.report();
        if (report) await tell({ type: 'answer', id, question, report });
        break;
      }
      case 'metrics':
        await tell({ type: 'answer', id, question, metrics: await this.#metrics.snapshot() });
        break;
      case 'beat':
      default:
        await tell({ type: 'answer', id, question });
    }
  }
}

function sourceOf({ name, file, text }: StartOrder['source']): ConfigSource {
  return file === undefined ? { name, read: () => Promise.resolve(Buffer.from(text)) } : fileSource(file);
}

/** The supervisor writes at the same level. */
function loggerOf({ config }: Snapshot, number: number): Logger {
  const logger = createLogger({ level: levelOf(config.logging), base: { process: number } });
  logger.on('level-change', (level) => void tell({ type: 'log-level', level }));
  return logger;
}

/** Resolves when the message is on its way; to a supervisor that has gone nothing is told. */
function tell(notice: Notice): Promise<void> {
  return new Promise((resolve) => {
    if (!process.connected) return resolve();
    process.send?.(notice, undefined, undefined, () => resolve());
  });
}

keepYoungMemorySmall();
const program = new ServingProgram();
process.on('message', (message: unknown) => {
  if (isOrder(message)) program.obey(message);
});
process.on('SIGTERM', () => void program.stop('SIGTERM'));
// A terminal sends it to all processes; the supervisor says what is to be done.
process.on('SIGINT', () => undefined);
process.on('SIGHUP', () => program.reload());
await tell({ type: 'hello' });
