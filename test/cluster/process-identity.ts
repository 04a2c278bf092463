import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

/** One process for good: a pid alone is used again, a pid with its start time is not. */
export interface ProcessIdentity {
  readonly pid: number;
  /** In clock ticks since the machine started (`/proc/PID/stat`). */
  readonly startTime: string;
}

/** @returns undefined when there is no such process, or only its remains that nobody has collected */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name in parentheses may hold anything, so fields are counted from the last one.
  const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const startTime = fields[18];
  return startTime === undefined || state === 'Z' ? undefined : { pid, startTime };
}

export async function isAlive(process: ProcessIdentity): Promise<boolean> {
  return (await identify(process.pid))?.startTime === process.startTime;
}

/**
 * Kills that process and no other.
 *
 * @throws Error when it is still there after five seconds
 */
export async function killProcess(target: ProcessIdentity): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    if (!(await isAlive(target))) {
      return;
    }
    if (attempt === 0) {
      process.kill(target.pid, 'SIGKILL');
    }
    await delay(50);
  }
  throw new Error(`process ${target.pid} does not end`);
}
