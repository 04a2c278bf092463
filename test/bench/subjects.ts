import { mkdir, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';

import type { RegistryConfigInput } from '../../src/api/registry-config.ts';
import { toolPath } from '../helpers/tools.ts';
import { freePort, type RunningProcess, startProcess } from '../servers/process.ts';
import type { CertificateFiles } from './certificates.ts';
import { readStalls, STALL_RECORDER, type Stalls } from './stalls.ts';

/** The servers that are compared; `two` is ours with two processes on its port, `base` another build of ours. */
export type SubjectId = 'ours' | 'base' | 'two' | 'distribution' | 'docker-registry';

export const SUBJECT_TITLES: Readonly<Record<SubjectId, string>> = {
  ours: 'ours',
  base: 'ours before',
  two: 'ours, two processes',
  distribution: 'distribution 3',
  'docker-registry': 'docker-registry 2.8.2',
};

/** Ours, and what it is compared with. */
export const COMPARED: readonly SubjectId[] = ['ours', 'base', 'distribution', 'docker-registry'];

/** Files of our server's program. */
export interface Programs {
  readonly ours: string;
  /** Another build, where two are compared. */
  readonly base?: string | undefined;
}

export interface StartOptions {
  /** An empty folder for configuration and log. */
  readonly folder: string;
  /** Folder with the content. */
  readonly root: string;
  /** Plain HTTP without it. */
  readonly tls?: CertificateFiles | undefined;
  readonly programs: Programs;
  /** Options of Node for our server. */
  readonly nodeOptions?: readonly string[];
  /** Whether our server records how long its event loop stands still. */
  readonly stalls?: boolean;
  /** Whether our server waits for the disk before it acknowledges; others always do. */
  readonly sync?: 'Always' | 'Never';
  /** `cgroup.procs` of the control group that the server runs in. */
  readonly cgroup?: string | undefined;
}

export interface RunningSubject {
  readonly id: SubjectId;
  readonly url: string;
  readonly process: RunningProcess;
  /** From the start of the process to the first answer 200, in milliseconds. */
  readonly startMs: number;
  /** Of our server, since it was last asked; undefined when nothing is recorded. */
  stalls(): Promise<Stalls | undefined>;
}

/** Time until a server that does not answer counts as broken. */
const START_MS = 60_000;
const POLL_MS = 2;

/** Starts a server on a free port and waits for its first 200. */
export async function startSubject(id: SubjectId, options: StartOptions): Promise<RunningSubject> {
  await mkdir(options.folder, { recursive: true });
  const port = await freePort();
  const url = `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
  const { command, args, env } = await (isOurs(id)
    ? ours(id, options, port)
    : distribution(id, options, port));
  const [program, argv] = inCgroup(options.cgroup, command, args);
  const began = performance.now();
  const server = await startProcess({
    command: program,
    args: argv,
    env: { ...process.env, ...env },
    logFile: join(options.folder, 'log'),
    ready: () => isReady(`${url}/v2/`),
    timeoutMs: START_MS,
    intervalMs: POLL_MS,
  });
  const startMs = performance.now() - began;
  const records = isOurs(id) && options.stalls === true;
  return {
    id,
    url,
    process: endWithThisProcess(server),
    startMs,
    stalls: async () => (records ? readStalls(options.folder) : undefined),
  };
}

/** However this process ends: a server that goes on would write to a folder that is being removed. */
function endWithThisProcess(server: RunningProcess): RunningProcess {
  const kill = () => process.kill(server.pid, 'SIGKILL');
  // Before the folder is removed.
  process.prependOnceListener('exit', kill);
  return {
    ...server,
    stop: () => {
      process.off('exit', kill);
      return server.stop();
    },
  };
}

type OursId = 'ours' | 'base' | 'two';

function isOurs(id: SubjectId): id is OursId {
  return id === 'ours' || id === 'base' || id === 'two';
}

interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

async function ours(id: OursId, options: StartOptions, port: number): Promise<Launch> {
  const file = join(options.folder, 'config.json');
  await writeFile(file, JSON.stringify(ourConfig(id, options, port, await freePort())));
  const { ours: current, base = current } = options.programs;
  const preload = options.stalls === true ? ['--import', STALL_RECORDER] : [];
  return {
    command: process.execPath,
    args: [
      ...preload,
      ...(options.nodeOptions ?? []),
      id === 'base' ? base : current,
      'serve',
      '--config',
      file,
    ],
    env: { NODE_ENV: 'production', BENCH_STALLS_FOLDER: options.folder },
  };
}

function ourConfig(
  id: OursId,
  { root, tls, sync = 'Always' }: StartOptions,
  port: number,
  opsPort: number,
): RegistryConfigInput {
  const http = {
    listen: `127.0.0.1:${port}`,
    ...(tls === undefined ? {} : { tls }),
    ...(id === 'two' ? { processes: 2 } : {}),
  };
  return {
    storage: { driver: 'filesystem', rootDirectory: root, sync },
    http,
    ops: { listen: `127.0.0.1:${opsPort}` },
    auth: { anonymous: 'PullPush' },
    logging: { level: 'Warn', requests: 'None' },
  };
}

/** The configuration that distribution's image brings, without the log of requests. */
async function distribution(
  id: SubjectId,
  { folder, root, tls }: StartOptions,
  port: number,
): Promise<Launch> {
  const file = join(folder, 'config.yml');
  const config = {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: {
      delete: { enabled: true },
      cache: { blobdescriptor: 'inmemory' },
      filesystem: { rootdirectory: root },
    },
    http: {
      addr: `127.0.0.1:${port}`,
      headers: { 'X-Content-Type-Options': ['nosniff'] },
      ...(tls === undefined ? {} : { tls: { certificate: tls.certificateFile, key: tls.keyFile } }),
    },
    health: { storagedriver: { enabled: true, interval: '10s', threshold: 3 } },
  };
  // YAML that is JSON.
  await writeFile(file, JSON.stringify(config));
  // As its image sets it: without it every request is traced, to nowhere.
  return { command: toolPath(id), args: ['serve', file], env: { OTEL_TRACES_EXPORTER: 'none' } };
}

/** A process has to enter the group before it takes any memory. */
function inCgroup(
  procs: string | undefined,
  command: string,
  args: readonly string[],
): [string, readonly string[]] {
  if (procs === undefined) return [command, args];
  return ['sh', ['-c', 'echo $$ > "$0" && exec "$@"', procs, command, ...args]];
}

function isReady(url: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const options = { agent: false, rejectUnauthorized: false, timeout: START_MS };
    const send = url.startsWith('https:') ? httpsRequest : httpRequest;
    const request = send(url, options, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('error', reject).end();
  });
}
