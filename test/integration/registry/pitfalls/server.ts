import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { expect } from 'vitest';

import type { RegistryConfigInput } from '../../../../src/api/registry-config.ts';
import { scratchFolder } from '../../../helpers/scratch-folder.ts';
import { startRegistry, type Answer, type Call, type TestRegistry } from '../../../servers/registry.ts';
import { manifestOf, MANIFEST_TYPE, sha256 } from '../content.ts';
import { RawConnection, type RawAnswer } from '../raw-http.ts';

/** Files that a server may open late and keep: threads, watchers, a connection that is being closed. */
const SPARE_FILES = 8;
/** Connections that a client has closed may take so long to go. */
const CLOSE_MS = 15_000;

export interface PitfallServer {
  readonly registry: TestRegistry;
  readonly port: number;
  /** `host:port` of the registry API. */
  readonly host: string;
  /** Folder of the test; the content is in `data`. */
  readonly folder: string;
  call(target: string, call?: Call): Promise<Answer>;
  /** Opens a connection that is closed at the latest with the server. */
  connect(): Promise<RawConnection>;
  /** Sends exactly these bytes on a new connection; the first answer. Undefined when there was none. */
  raw(bytes: string | Uint8Array, method?: string): Promise<RawAnswer | undefined>;
  /** Value of a metric by its name and labels; 0 when there is none. */
  metric(name: string): Promise<number>;
  metrics(): Promise<string>;
  /** Lines of the log as objects; a line that is no JSON object fails. */
  log(): LogLine[];
  /**
   * Why the server is not what it was at the start: it does not answer, is not ready, or holds more files open. And
   * requests that ended with 5xx, and whatever was logged as an error, but for what `expected` names.
   */
  problems(expected?: (line: LogLine) => boolean): Promise<string[]>;
  stop(): Promise<void>;
}

export type LogLine = Readonly<Record<string, unknown>>;

export const OPEN_TO_ALL: RegistryConfigInput['auth'] = { anonymous: 'PullPush', anonymousDelete: true };

/**
 * Starts a server on a folder of its own, open to everybody unless `config` says something else.
 *
 * @param ca PEM of the CA of its certificate
 */
export async function startPitfallServer(
  config: Partial<RegistryConfigInput> | ((folder: string) => Promise<Partial<RegistryConfigInput>>) = {},
  ca?: string,
): Promise<PitfallServer> {
  const folder = await scratchFolder('registry-pitfalls-');
  const registry = await startRegistry({
    folder,
    ...(ca === undefined ? {} : { ca }),
    config: {
      storage: { driver: 'filesystem', rootDirectory: join(folder, 'data'), sync: 'Never' },
      auth: OPEN_TO_ALL,
      ...(typeof config === 'function' ? await config(folder) : config),
    },
  });
  const server = new Server(folder, registry);
  await server.warmUp();
  return server;
}

class Server implements PitfallServer {
  readonly registry: TestRegistry;
  readonly folder: string;
  readonly host: string;
  readonly port: number;
  readonly #connections = new Set<RawConnection>();
  #files = 0;

  constructor(folder: string, registry: TestRegistry) {
    this.folder = folder;
    this.registry = registry;
    this.host = new URL(registry.url).host;
    this.port = Number(new URL(registry.url).port);
  }

  /** Threads and watchers start with the first requests. */
  async warmUp(): Promise<void> {
    await this.call('/v2/');
    await this.metrics();
    this.#files = await this.#openFiles();
  }

  call(target: string, call?: Call): Promise<Answer> {
    return this.registry.call(target, call);
  }

  async connect(): Promise<RawConnection> {
    const connection = await RawConnection.open(this.port);
    this.#connections.add(connection);
    return connection;
  }

  async raw(bytes: string | Uint8Array, method = 'GET'): Promise<RawAnswer | undefined> {
    const connection = await this.connect();
    connection.write(bytes);
    try {
      return await connection.answer(method);
    } finally {
      connection.destroy();
      this.#connections.delete(connection);
    }
  }

  async metrics(): Promise<string> {
    return (await this.call(`${this.registry.opsUrl}/metrics`)).body.toString();
  }

  async metric(name: string): Promise<number> {
    const line = (await this.metrics()).split('\n').find((entry) => entry.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1) ?? 0);
  }

  log(): LogLine[] {
    const lines = this.registry.process.log().split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as LogLine);
  }

  async problems(expected: (line: LogLine) => boolean = () => false): Promise<string[]> {
    this.#disconnect();
    const states = await Promise.all(
      ['/livez', '/readyz'].map(async (path) => {
        const { status } = await this.call(`${this.registry.opsUrl}${path}`);
        return status === 200 ? [] : [`${path} is ${status}`];
      }),
    );
    const failures = this.log().filter((line) => isFailure(line) && !expected(line));
    return [...states.flat(), ...(await this.#leftFiles()), ...failures.map((line) => JSON.stringify(line))];
  }

  async stop(): Promise<void> {
    this.#disconnect();
    await this.registry.process.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  #disconnect(): void {
    for (const connection of this.#connections) connection.destroy();
    this.#connections.clear();
  }

  /** Waits for what takes a moment to be closed. */
  async #leftFiles(): Promise<string[]> {
    const deadline = Date.now() + CLOSE_MS;
    for (;;) {
      const left = (await this.#openFiles()) - this.#files;
      if (left < SPARE_FILES) return [];
      if (Date.now() > deadline) return [`${left} more files are open than at the start`];
      await sleep(100);
    }
  }

  async #openFiles(): Promise<number> {
    return (await readdir(`/proc/${this.registry.process.pid}/fd`)).length;
  }
}

function isFailure({ level, status }: LogLine): boolean {
  return level === 'error' || level === 'fatal' || Number(status ?? 0) >= 500;
}

/** Code of the first error of an answer. */
export function codeOf(answer: { readonly body: Buffer } | undefined): unknown {
  const { errors } = JSON.parse(answer?.body.toString() ?? '') as { errors?: { code: string }[] };
  return errors?.[0]?.code;
}

/** Status and code of an error answer. */
export function refusalOf(answer: { readonly status: number; readonly body: Buffer } | undefined): string {
  return answer === undefined ? 'no answer' : `${answer.status} ${String(codeOf(answer))}`;
}

/** @returns the digest */
export async function pushBlob(
  server: Pick<PitfallServer, 'call'>,
  repository: string,
  bytes: Uint8Array | string,
  user?: string,
): Promise<string> {
  const digest = sha256(bytes);
  const answer = await server.call(`/v2/${repository}/blobs/uploads/?digest=${digest}`, {
    method: 'POST',
    body: bytes,
    ...(user === undefined ? {} : { user }),
  });
  expect(answer.status).toBe(201);
  return digest;
}

export function putManifest(
  server: Pick<PitfallServer, 'call'>,
  target: string,
  manifest: string | Uint8Array,
  { type = MANIFEST_TYPE, user }: { readonly type?: string; readonly user?: string } = {},
): Promise<Answer> {
  return server.call(target, {
    method: 'PUT',
    headers: { 'content-type': type },
    body: manifest,
    ...(user === undefined ? {} : { user }),
  });
}

/** Pushes an image without layers. @returns its digest */
export async function pushImage(
  server: Pick<PitfallServer, 'call'>,
  repository: string,
  reference: string,
  user?: string,
): Promise<string> {
  await pushBlob(server, repository, '{}', user);
  const manifest = manifestOf({ repository, reference });
  const options = user === undefined ? {} : { user };
  const answer = await putManifest(server, `/v2/${repository}/manifests/${reference}`, manifest, options);
  expect(answer.status).toBe(201);
  return sha256(manifest);
}

/** Path of a new upload session. */
export async function startUpload(
  server: Pick<PitfallServer, 'call'>,
  repository: string,
  user?: string,
): Promise<string> {
  const answer = await server.call(`/v2/${repository}/blobs/uploads/`, {
    method: 'POST',
    ...(user === undefined ? {} : { user }),
  });
  expect(answer.status).toBe(202);
  return answer.headers.location ?? '';
}
