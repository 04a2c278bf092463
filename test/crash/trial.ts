import { setTimeout as sleep } from 'node:timers/promises';

import type { RegistryConfigInput } from '../../src/api/registry-config.ts';
import { BufferPool } from '../../src/registry/storage/buffer-pool.ts';
import type { StorageDriver } from '../../src/registry/storage/driver.ts';
import { createFilesystemDriver } from '../../src/registry/storage/drivers/filesystem.ts';
import { createS3Driver } from '../../src/registry/storage/drivers/s3.ts';
import { startRegistry, type TestRegistry } from '../servers/registry.ts';
import { CrashClient } from './client.ts';
import { Connection } from './http.ts';
import { Ledger } from './ledger.ts';
import { Random } from './random.ts';
import { verifyServer } from './verify.ts';
import { walkStorage } from './walk.ts';

const CLIENTS = 6;
/** The server lives so long under load, in milliseconds. */
const MIN_LIFE_MS = 50;
const MAX_LIFE_MS = 700;

export interface TrialOptions {
  readonly storage: RegistryConfigInput['storage'];
  /** Folder for the server's configuration and log. */
  readonly folder: string;
  readonly seed: number;
  /** Longest blob in bytes. */
  readonly maxBytes: number;
}

/** One storage, many lives of a server that is killed under load, and what must be left of each. */
export class Trial {
  readonly #options: TrialOptions;
  readonly #random: Random;
  readonly #ledger = new Ledger();
  readonly #clients: readonly CrashClient[];
  readonly #verified = new Set<string>();
  readonly #walked = new Set<string>();
  #server: TestRegistry | undefined;

  constructor(options: TrialOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#clients = Array.from({ length: CLIENTS }, (_, number) => {
      const { maxBytes } = options;
      return new CrashClient({ number, ledger: this.#ledger, random: this.#random.fork(), maxBytes });
    });
  }

  /** Requests that were acknowledged in all. */
  get done(): number {
    return this.#clients.reduce((sum, { done }) => sum + done, 0);
  }

  /**
   * Kills the server under load, starts it again and looks at everything.
   *
   * @returns what was lost or is damaged, one line each
   */
  async round(): Promise<string[]> {
    const server = (this.#server ??= await this.#start());
    const problems = await this.#load(server);
    const next = await this.#start();
    this.#server = next;
    const connection = new Connection(next.url);
    for (const client of this.#clients) {
      await client.resume(connection).catch((error: unknown) => problems.push(String(error)));
    }
    problems.push(...(await verifyServer(connection, this.#ledger, this.#verified)));
    connection.close();
    problems.push(...(await this.#walk()));
    return problems;
  }

  async close(): Promise<void> {
    await this.#server?.process.stop();
  }

  /** @returns answers that no client should see */
  async #load(server: TestRegistry): Promise<string[]> {
    const problems: string[] = [];
    const connections = this.#clients.map(() => new Connection(server.url));
    const work = this.#clients.map(async (client, index) => {
      const connection = connections[index];
      if (connection === undefined) return;
      await client.work(connection).catch((error: unknown) => problems.push(String(error)));
    });
    await sleep(MIN_LIFE_MS + this.#random.below(MAX_LIFE_MS - MIN_LIFE_MS));
    process.kill(server.process.pid, 'SIGKILL');
    await server.process.stop();
    await Promise.all(work);
    for (const connection of connections) connection.close();
    return problems;
  }

  #start(): Promise<TestRegistry> {
    return startRegistry({
      folder: this.#options.folder,
      config: {
        storage: this.#options.storage,
        auth: { anonymous: 'PullPush', anonymousDelete: true },
        logging: { level: 'Warn', requests: 'Failed' },
      },
    });
  }

  async #walk(): Promise<string[]> {
    const storage = await openStorage(this.#options.storage);
    try {
      return await walkStorage(storage, this.#walked);
    } finally {
      await storage.close();
    }
  }
}

async function openStorage(config: RegistryConfigInput['storage']): Promise<StorageDriver> {
  const buffers = new BufferPool(64 << 20);
  if (config.driver === 'filesystem') return createFilesystemDriver({ root: config.rootDirectory, buffers });
  if (config.driver === 's3') return createS3Driver({ ...config, addressingStyle: 'Auto', buffers });
  throw new Error(`nothing of ${config.driver} is left after a crash`);
}
