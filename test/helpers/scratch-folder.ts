import { accessSync, constants, statfsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where Linux keeps files in memory. */
const MEMORY = '/dev/shm';
/** Containers often have 64 MiB there. */
const ENOUGH_BYTES = 2 ** 30;

/**
 * A new folder that is quick to write to, in memory where the system has a place for it: for tests that ask for
 * thousands of syncs and would only measure the disk.
 *
 * @returns its path; the caller removes it
 */
export async function scratchFolder(prefix: string): Promise<string> {
  return mkdtemp(join(parent(), prefix));
}

function parent(): string {
  try {
    accessSync(MEMORY, constants.W_OK | constants.X_OK);
    const { bavail, bsize } = statfsSync(MEMORY);
    return bavail * bsize >= ENOUGH_BYTES ? MEMORY : tmpdir();
  } catch {
    return tmpdir();
  }
}
