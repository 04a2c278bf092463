import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a server and its child processes take of the machine. */
export interface Usage {
  /** User and system time, in seconds, in steps of a hundredth. */
  readonly cpuSeconds: number;
  /** Resident memory, in MiB. */
  readonly rssMiB: number;
  /** Most of it since the start, or since {@link forgetPeak}, in MiB. */
  readonly peakMiB: number;
}

/** Linux counts processor time in hundredths of a second on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;
/** Written to `clear_refs`, it makes the peak the present. See proc(5). */
const RESET_PEAK = '5';

/** Sums a process and what descends from it. */
export function usageOf(pid: number): Usage {
  const all = processTree(pid).flatMap((one) => readUsage(one));
  return {
    cpuSeconds: total(all.map(({ cpuSeconds }) => cpuSeconds)),
    rssMiB: total(all.map(({ rssMiB }) => rssMiB)),
    peakMiB: total(all.map(({ peakMiB }) => peakMiB)),
  };
}

const SETTLE_STEP_MS = 500;
/** A server that takes less than this share of a processor is idle. */
const IDLE_SHARE = 0.05;
const SETTLE_STEPS = 60;

/**
 * Waits until what a server does by itself is over.
 *
 * @throws Error when it is not after half a minute
 */
export async function settle(pid: number): Promise<void> {
  for (let step = 0; step < SETTLE_STEPS; step++) {
    const before = usageOf(pid).cpuSeconds;
    await sleep(SETTLE_STEP_MS);
    if (usageOf(pid).cpuSeconds - before < (IDLE_SHARE * SETTLE_STEP_MS) / 1000) return;
  }
  throw new Error(`process ${pid} is busy by itself`);
}

/** Lets the peak of every process of the tree begin anew. */
export function forgetPeak(pid: number): void {
  for (const one of processTree(pid)) {
    writeFileSync(`/proc/${one}/clear_refs`, RESET_PEAK);
  }
}

/** @returns seconds of processor time by name of the thread, threads of one name summed, of a process tree */
export function cpuByThread(pid: number): Map<string, number> {
  const seconds = new Map<string, number>();
  for (const one of processTree(pid)) {
    for (const thread of readdirSync(`/proc/${one}/task`)) {
      const { name, ticks } = parseStat(readFileSync(`/proc/${one}/task/${thread}/stat`, 'utf8'));
      seconds.set(name, (seconds.get(name) ?? 0) + ticks / TICKS_PER_SECOND);
    }
  }
  return seconds;
}

/** @returns the process, its children, their children, … */
function processTree(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap((child) => processTree(child))];
}

/** @returns nothing for a process that has just ended */
function readUsage(pid: number): Usage[] {
  try {
    const { ticks, reaped } = parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const mebibytes = (field: string) =>
      Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) / 1024;
    const cpuSeconds = (ticks + reaped) / TICKS_PER_SECOND;
    return [{ cpuSeconds, rssMiB: mebibytes('VmRSS'), peakMiB: mebibytes('VmHWM') }];
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

/** See proc(5): the name may hold spaces and parentheses, all else are numbers. */
function parseStat(text: string): { name: string; ticks: number; reaped: number } {
  const name = text.slice(text.indexOf('(') + 1, text.lastIndexOf(')'));
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [utime = 0, stime = 0, cutime = 0, cstime = 0] = fields.slice(11, 15);
  return { name, ticks: utime + stime, reaped: cutime + cstime };
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}
