import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { connect, createServer, type NetConnectOpts } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ProcessOptions {
  readonly command: string;
  readonly args?: readonly string[];
  /** The whole environment of the process; unset inherits ours. */
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Receives stdout and stderr. */
  readonly logFile: string;
  /** Asked again and again until it is true; a rejection counts as "not yet". */
  readonly ready: () => Promise<boolean>;
  /** Milliseconds between two questions; 50 unless set. */
  readonly intervalMs?: number;
  /** Milliseconds until the start counts as failed. */
  readonly timeoutMs: number;
}

export interface RunningProcess {
  readonly pid: number;
  /** SIGTERM, after five seconds SIGKILL; resolves when the process is gone. Safe to call twice. */
  stop(): Promise<void>;
  /** What it has written so far. */
  log(): string;
}

const READY_INTERVAL_MS = 50;
const GRACE_MS = 5000;

/**
 * Starts a server process and waits until it answers.
 *
 * @throws Error with the end of the log when it exits early or is not ready in time; it is stopped then.
 */
export async function startProcess(options: ProcessOptions): Promise<RunningProcess> {
  const logFd = openSync(options.logFile, 'a');
  const child = spawn(options.command, [...(options.args ?? [])], {
    env: options.env ?? process.env,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdio: ['ignore', logFd, logFd],
  });
  closeSync(logFd);
  const end = watchEnd(child);
  const log = () => readFileSync(options.logFile, 'utf8');
  const stop = () => stopChild(child, end);

  const problem = await waitUntilReady(options, end);
  if (problem !== undefined || child.pid === undefined) {
    await stop();
    throw new Error(`${options.command} ${problem}; its log ends with:\n${log().slice(-4000)}`);
  }
  return { pid: child.pid, stop, log };
}

interface ProcessEnd {
  readonly done: Promise<void>;
  /** Undefined while the process runs. */
  reason(): string | undefined;
}

function watchEnd(child: ChildProcess): ProcessEnd {
  let reason: string | undefined;
  const done = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      reason ??= error.message;
      resolve();
    });
    child.once('exit', (code, signal) => {
      reason ??= signal ?? `status ${code}`;
      resolve();
    });
  });
  return { done, reason: () => reason };
}

async function stopChild(child: ChildProcess, end: ProcessEnd): Promise<void> {
  if (end.reason() !== undefined) return;
  child.kill('SIGTERM');
  const killer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
  await end.done;
  clearTimeout(killer);
}

/** @returns what went wrong, or undefined when the process is ready */
async function waitUntilReady(options: ProcessOptions, end: ProcessEnd): Promise<string | undefined> {
  const deadline = Date.now() + options.timeoutMs;
  for (;;) {
    const ready = await isReady(options.ready);
    // Asked after `ready`: a server that was not started by us may be the one that answered.
    if (end.reason() !== undefined) return `exited early (${end.reason()})`;
    if (ready) return undefined;
    if (Date.now() > deadline) return `was not ready after ${options.timeoutMs} ms`;
    await Promise.race([sleep(options.intervalMs ?? READY_INTERVAL_MS), end.done]);
  }
}

async function isReady(ready: () => Promise<boolean>): Promise<boolean> {
  try {
    return await ready();
  } catch {
    return false;
  }
}

/** True when something accepts HTTP at the address, whatever the status. For {@link ProcessOptions.ready}. */
export async function answersHttp(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
  await response.body?.cancel();
  return true;
}

/** True when something listens at the address. For {@link ProcessOptions.ready}. */
export function acceptsTcp(host: string, port: number): Promise<boolean> {
  return accepts({ host, port });
}

/** True when something listens at the socket file. For {@link ProcessOptions.ready}. */
export function acceptsUnix(path: string): Promise<boolean> {
  return accepts({ path });
}

function accepts(address: NetConnectOpts): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address);
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

/** A TCP port of the loopback interface that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no TCP port was assigned');
  return address.port;
}
