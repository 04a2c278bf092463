import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import type { RegistryConfigInput } from '../../src/api/registry-config.ts';
import { COMPILE_CACHE } from '../helpers/compile-cache.ts';
import { answersHttp, freePort, type RunningProcess, startProcess } from './process.ts';

const MAIN = fileURLToPath(new URL('../../src/registry/main.ts', import.meta.url));

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body as JSON. */
  json(): unknown;
}

export interface Call {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array | string;
  /** `user:password` */
  readonly user?: string;
}

export interface TestRegistry {
  readonly url: string;
  readonly opsUrl: string;
  readonly configFile: string;
  readonly process: RunningProcess;
  /** @param target path, or a whole URL such as an absolute Location */
  call(target: string, call?: Call): Promise<Answer>;
}

export interface RegistryOptions {
  /** Folder for the configuration and the log. */
  readonly folder: string;
  /** Addresses are filled in. */
  readonly config: RegistryConfigInput;
  /** PEM of the CA that clients trust. */
  readonly ca?: string;
  /** The server program; its sources unless set. */
  readonly program?: string;
}

/** Starts the registry server on free ports, and waits until it is ready. */
export async function startRegistry({
  folder,
  config,
  ca,
  program = MAIN,
}: RegistryOptions): Promise<TestRegistry> {
  const [port, opsPort] = [await freePort(), await freePort()];
  const configFile = join(folder, 'config.json');
  await writeFile(
    configFile,
    JSON.stringify({
      ...config,
      http: { ...config.http, listen: `127.0.0.1:${port}` },
      ops: { listen: `127.0.0.1:${opsPort}` },
    }),
  );
  const opsUrl = `http://127.0.0.1:${opsPort}`;
  const process_ = await startProcess({
    command: process.execPath,
    args: [program, 'serve', '--config', configFile],
    ...(program === MAIN ? { env: { ...process.env, ...COMPILE_CACHE } } : {}),
    logFile: join(folder, 'registry.log'),
    ready: () => answersHttp(`${opsUrl}/readyz`),
    timeoutMs: 30_000,
  });
  const url = `${config.http?.tls ? 'https' : 'http'}://127.0.0.1:${port}`;
  return {
    url,
    opsUrl,
    configFile,
    process: process_,
    call: (target, options) => call(new URL(target, url), options, ca),
  };
}

async function call(url: URL, options: Call = {}, ca?: string): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const headers = {
    ...options.headers,
    ...(options.user === undefined ? {} : { authorization: basic(options.user) }),
    ...lengthOf(options),
  };
  const settings = {
    method: options.method ?? 'GET',
    headers,
    ...(ca === undefined ? {} : { ca }),
    agent: false,
  };
  const request = url.protocol === 'https:' ? httpsRequest(url, settings) : httpRequest(url, settings);
  request.on('error', reject);
  request.on('response', (response) => {
    readAnswer(response).then(resolve, reject);
  });
  request.end(options.body);
  return promise;
}

async function readAnswer(response: IncomingMessage): Promise<Answer> {
  const { statusCode = 0, headers } = response;
  const body = await buffer(response);
  return { status: statusCode, headers, body, json: () => JSON.parse(body.toString()) };
}

function lengthOf({ headers, body }: Call): Record<string, string> {
  if (body === undefined || headers?.['transfer-encoding'] !== undefined) return {};
  return { 'content-length': String(Buffer.byteLength(body)) };
}

function basic(user: string): string {
  return `Basic ${Buffer.from(user).toString('base64')}`;
}

/** Runs the program to its end. */
export async function runToEnd(
  args: readonly string[],
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...COMPILE_CACHE },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [stdout, stderr] = await Promise.all([buffer(child.stdout), buffer(child.stderr)]);
  return { code: await exit, stdout: stdout.toString(), stderr: stderr.toString() };
}
