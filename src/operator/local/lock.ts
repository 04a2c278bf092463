import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { AppError, errorCode } from '../../shared/errors.ts';

const LOCK_FILE = 'pid';

/**
 * Makes this process the only one that works in a folder. A lock of a process that is gone counts for nothing.
 *
 * @returns lets go of the folder
 * @throws AppError naming the process that works there
 */
export async function lockFolder(root: string): Promise<() => Promise<void>> {
  const file = join(root, LOCK_FILE);
  await mkdir(root, { recursive: true, mode: 0o700 });
  const own = `${process.pid} ${(await startOf(process.pid)) ?? ''}`;
  for (;;) {
    try {
      await writeFile(file, own, { flag: 'wx', mode: 0o600 });
      return () => rm(file, { force: true });
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
    }
    const [pid = '', start = ''] = (await readFile(file, 'utf8').catch(() => '')).split(' ');
    if (await works(Number(pid), start)) throw inUse(root, pid);
    await rm(file, { force: true });
  }
}

function inUse(root: string, pid: string): AppError {
  return new AppError(
    'IN_USE',
    `process ${pid} runs this Registry already, in ${root}; end it first, or run another one beside it with ` +
      'other --state, --listen and --ops',
  );
}

/** @param start what {@link startOf} said when the lock was written: a pid is used again some day */
async function works(pid: number, start: string): Promise<boolean> {
  if (!Number.isInteger(pid) || pid <= 0 || !exists(pid)) return false;
  const now = await startOf(pid);
  return now === undefined || now === start;
}

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}

/**
 * When a process started, in ticks since boot; undefined where there is no `/proc`. A process that has ended stays
 * visible until its parent asks for it, which the first process of a container may never do.
 */
async function startOf(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The name of the program stands in parentheses and may hold blanks: count from its end.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields?.[0] === 'Z' ? 'ended' : fields?.[19];
}
