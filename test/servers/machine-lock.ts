import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const INTERVAL_MS = 100;

/**
 * Waits until no other test process of this machine has what `name` stands for. For servers of which only one can
 * run at a time; the lock of a process that has died is taken over.
 *
 * @throws Error when it is still held after `timeoutMs`
 */
export async function lockMachine(name: string, timeoutMs: number): Promise<AsyncDisposable> {
  const file = join(tmpdir(), `registry-operator-${name}.lock`);
  const end = performance.now() + timeoutMs;
  while (!(await take(file))) {
    if (performance.now() > end) throw new Error(`${file} is held by process ${await holderOf(file)}`);
    await sleep(INTERVAL_MS);
  }
  return { [Symbol.asyncDispose]: () => rm(file, { force: true }) };
}

async function take(file: string): Promise<boolean> {
  try {
    await writeFile(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    const holder = await holderOf(file);
    if (holder !== undefined && !isAlive(holder)) await rm(file, { force: true });
    return false;
  }
}

/** Undefined while the file is being written or removed. */
async function holderOf(file: string): Promise<number | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text === '' ? undefined : Number(text);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
