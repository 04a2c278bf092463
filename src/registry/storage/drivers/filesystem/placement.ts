import { randomUUID } from 'node:crypto';
import { link, lstat, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';

import { errorCode } from '../../../../shared/errors.ts';
import { isMissing } from './failure.ts';

/** A folder can be made or removed by others between two looks at it; then it is tried again. */
const ATTEMPTS = 20;

export interface PlacementOptions {
  /** Absolute path of the folder for files on their way, on the same file system. */
  readonly temporary: string;
  /** Fails with EEXIST when the target is there already, which is replaced otherwise. */
  readonly ifAbsent: boolean;
}

/**
 * Gives a complete temporary file its name. Folders that are missing on the way to it are made around the file, out
 * of sight, and come to their place together with it. Lists show folders, so that one which is made first would be a
 * tag or a repository without anything in it, for ever if the process dies before the file is there.
 *
 * @param source absolute path of the file; it may still be there afterwards
 * @param target absolute path that the file is to have
 */
export async function placeWhole(source: string, target: string, options: PlacementOptions): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await (options.ifAbsent ? link(source, target) : rename(source, target));
      return;
    } catch (error) {
      if (errorCode(error) !== 'ENOENT' || attempt === ATTEMPTS) throw error;
    }
    if (await placeWithFolders(source, target, options.temporary)) return;
  }
}

/** @returns false when others have made or removed a folder meanwhile; the file is where it was then */
async function placeWithFolders(source: string, target: string, temporary: string): Promise<boolean> {
  const top = await highestMissing(dirname(target));
  if (top === undefined) return false;
  const staged = join(temporary, randomUUID());
  const file = join(staged, relative(top, target));
  await mkdir(dirname(file), { recursive: true });
  try {
    await rename(source, file);
    await rename(staged, top);
    return true;
  } catch (error) {
    const isOvertaken = ['ENOTEMPTY', 'EEXIST', 'ENOENT', 'ENOTDIR'].includes(errorCode(error) ?? '');
    if (isOvertaken) await rename(file, source).catch(ignoreMissing);
    await rm(staged, { recursive: true, force: true });
    if (!isOvertaken) throw error;
    return false;
  }
}

/** The folder itself or the highest one above it that does not exist; undefined when all do. */
async function highestMissing(folder: string): Promise<string | undefined> {
  let missing: string | undefined;
  for (let current = folder; !(await exists(current)); current = dirname(current)) missing = current;
  return missing;
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    ignoreMissing(error);
    return false;
  }
}

function ignoreMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}
