import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname } from 'node:path';

import { MODULES_BIN, ROOT } from './paths.mjs';
import { SetupError } from './report.mjs';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
/** npm passes on a Ctrl-C that the terminal has already delivered: the same signal again within this counts once. */
const ECHO_MILLISECONDS = 400;
/** Where in npm something failed helps nobody; the log has it. */
const STACK_FRAME = /^npm error\s+at /;

/** Environment in which `node` is the project's Node 26 and programs of its packages are found by name. */
export function projectEnvironment(extra = {}) {
  const path = [MODULES_BIN, process.env.PATH ?? ''].join(delimiter);
  return { ...process.env, PATH: path, ...extra };
}

/**
 * Runs a program and collects what it prints; a status other than 0 is the caller's to judge.
 *
 * @returns {Promise<{status: number, stdout: string, stderr: string}>} status 127 when there is no such program
 */
export function capture(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], ...options });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (data) => (output.stdout += data));
    child.stderr.on('data', (data) => (output.stderr += data));
    child.on('error', (error) => resolve({ status: 127, stdout: '', stderr: error.message }));
    child.on('close', (status) => resolve({ status: status ?? 1, ...output }));
  });
}

/**
 * Runs a program whose output goes to a file; stops it when this process is told to stop.
 *
 * @param {{log: string, env?: object, cwd?: string, nice?: boolean}} options `nice`: at the lowest priority
 * @throws SetupError with the end of the output when the status is not 0
 */
export async function runLogged(command, args, { log, env, cwd = ROOT, nice = false }) {
  mkdirSync(dirname(log), { recursive: true });
  const file = openSync(log, 'w');
  const [program, argv] = nice ? ['nice', ['-n', '19', command, ...args]] : [command, args];
  const child = spawn(program, argv, {
    cwd,
    env: env ?? process.env,
    stdio: ['ignore', file, file],
    detached: true,
  });
  closeSync(file);
  const status = await ended(child);
  if (status !== 0) {
    const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
    const tail = lines
      .filter((line) => !STACK_FRAME.test(line))
      .slice(-20)
      .join('\n');
    throw new SetupError(`${[command, ...args].join(' ')} failed (status ${status}):\n${tail}\nlog: ${log}`);
  }
}

/**
 * Runs a program that owns the terminal, and hands it each signal once. When a signal came, this process ends with
 * the program.
 *
 * @param {{env?: object, channel?: boolean}} [options] `channel`: give it an IPC channel, whose end tells it that this
 *   process is gone, however that ended
 * @returns {Promise<number>} its exit status; 128 + signal when a signal ended it
 */
export async function runForeground(command, args, { env = projectEnvironment(), channel = false } = {}) {
  // In a session of its own, else the terminal and this process would both deliver a Ctrl-C.
  const child = spawn(command, args, {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'inherit', 'inherit', ...(channel ? ['ipc'] : [])],
    detached: true,
  });
  foreground = child;
  const status = await ended(child).finally(() => (foreground = undefined));
  if (signalled) {
    process.exit(status);
  }
  return status;
}

const running = new Set();
let foreground;
let signalled;

// Whatever ends this process early, such as a broken pipe, must not leave a build behind.
process.on('exit', () => running.forEach((child) => signalGroup(child.pid, 'SIGTERM')));

function ended(child) {
  if (running.size === 0) {
    SIGNALS.forEach((signal) => process.on(signal, passOn));
  }
  running.add(child);
  return new Promise((resolve, reject) => {
    child.on('error', (error) =>
      reject(new SetupError(`${child.spawnfile} does not start: ${error.message}`)),
    );
    child.on('close', (status, signal) => resolve(status ?? 128 + constants.signals[signal]));
  }).finally(() => {
    running.delete(child);
    if (running.size === 0) {
      SIGNALS.forEach((signal) => process.off(signal, passOn));
    }
  });
}

function passOn(signal) {
  if (signalled?.signal === signal && performance.now() - signalled.at < ECHO_MILLISECONDS) {
    return;
  }
  signalled = { signal, at: performance.now() };
  for (const child of running) {
    signalGroup(child.pid, signal);
  }
  if (!foreground) {
    process.exit(128 + constants.signals[signal]);
  }
}

function signalGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended between the signal and here.
  }
}
