import { spawn, type ChildProcess } from 'node:child_process';

/** A program and its arguments. */
export interface Command {
  readonly command: string;
  readonly args: readonly string[];
}

interface Run extends Command {
  readonly revision: string;
}

export interface SupervisorEvents {
  /** One line of the program's standard output or error, without its end. */
  line(text: string): void;
  /** The program ended without being asked to; it starts again after `delayMs`. */
  crashed(reason: string, delayMs: number): void;
}

/** Delay before the n-th start in a row that ended early, in milliseconds. */
const RESTART_DELAYS = [250, 500, 1000, 2000, 5000] as const;
/** A program that ran this long was healthy: its next end counts as the first. */
const HEALTHY_AFTER_MS = 10_000;

/**
 * Keeps one child process running, as a kubelet keeps a container: starts it again when it ends, with growing
 * delays, and ends it by SIGTERM, then SIGKILL.
 */
export class Supervisor {
  readonly #events: SupervisorEvents;
  readonly #graceMs: number;
  #wanted: Run | undefined;
  #child: ChildProcess | undefined;
  #failures = 0;
  #startedAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(events: SupervisorEvents, options: { graceMs: number }) {
    this.#events = events;
    this.#graceMs = options.graceMs;
  }

  /** Pid of the running child; undefined while it is down. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Starts a command, or replaces the running one when the command or its revision is another.
   *
   * @param revision stands for settings that the program reads only when it starts
   */
  async run(command: Command, revision: string): Promise<void> {
    const wanted = { ...command, revision };
    if (this.#wanted !== undefined && sameRun(this.#wanted, wanted)) return;
    await this.stop();
    this.#wanted = wanted;
    this.#failures = 0;
    this.#start(wanted);
  }

  /** Ends the child and waits until it is gone; nothing starts again until `run`. */
  async stop(): Promise<void> {
    this.#wanted = undefined;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (child === undefined) return;
    const ended = new Promise<void>((resolve) => {
      child.once('close', () => resolve());
    });
    child.kill('SIGTERM');
    const hard = setTimeout(() => child.kill('SIGKILL'), this.#graceMs);
    await ended;
    clearTimeout(hard);
  }

  #start({ command, args }: Command): void {
    // Nothing is said on the IPC channel: its end tells the child that this process is gone.
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    this.#child = child;
    this.#startedAt = performance.now();
    forLines(child.stdout, (line) => this.#events.line(line));
    forLines(child.stderr, (line) => this.#events.line(line));
    let failure: string | undefined;
    child.once('error', (error) => {
      failure = error.message;
    });
    child.once('close', (code, signal) => this.#ended(child, failure ?? endReason(code, signal)));
  }

  #ended(child: ChildProcess, reason: string): void {
    if (this.#child === child) this.#child = undefined;
    const command = this.#wanted;
    if (command === undefined) return;
    this.#failures = performance.now() - this.#startedAt > HEALTHY_AFTER_MS ? 0 : this.#failures + 1;
    const delayMs = RESTART_DELAYS[Math.min(this.#failures, RESTART_DELAYS.length - 1)] ?? 5000;
    this.#events.crashed(reason, delayMs);
    this.#timer = setTimeout(() => {
      if (this.#wanted === command) this.#start(command);
    }, delayMs);
  }
}

function sameRun(a: Run, b: Run): boolean {
  const same = a.command === b.command && a.revision === b.revision && a.args.length === b.args.length;
  return same && a.args.every((arg, index) => arg === b.args[index]);
}

function endReason(code: number | null, signal: NodeJS.Signals | null): string {
  return signal === null ? `exit code ${String(code)}` : `signal ${signal}`;
}

/** A line longer than this is cut: the child is ours, but a bound costs nothing. */
const MAX_LINE = 64 * 1024;

function forLines(stream: NodeJS.ReadableStream | null, onLine: (line: string) => void): void {
  let rest = '';
  stream?.setEncoding('utf8');
  stream?.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = (lines.pop() ?? '').slice(-MAX_LINE);
    for (const line of lines) onLine(line);
  });
  stream?.on('end', () => {
    if (rest !== '') onLine(rest);
  });
}
