import { constants } from 'node:fs';
import { mkdir, open, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';

import { errorCode } from '../../../../shared/errors.ts';

/** A folder that was just made can be removed by a concurrent delete before it is used; then it is made again. */
const ATTEMPTS = 20;

/**
 * Puts a directory entry at `path` with `action` (a rename, a link, an exclusive open), makes missing folders,
 * and makes the entry durable.
 *
 * @returns what `action` returned
 */
export async function placeDurably<T>(path: string, action: () => Promise<T>): Promise<T> {
  const folder = dirname(path);
  const { result, created } = await placeIn(folder, action);
  await syncFolder(folder);
  if (created !== undefined) {
    // A new folder is itself an entry of its parent.
    for (let child = folder; child.length >= created.length; child = dirname(child)) {
      await syncFolder(dirname(child));
    }
  }
  return result;
}

/** As {@link placeDurably}, without waiting for the disk. */
export async function place<T>(path: string, action: () => Promise<T>): Promise<T> {
  return (await placeIn(dirname(path), action)).result;
}

async function placeIn<T>(
  folder: string,
  action: () => Promise<T>,
): Promise<{ result: T; created: string | undefined }> {
  let created: string | undefined;
  for (let attempt = 1; ; attempt++) {
    try {
      return { result: await action(), created };
    } catch (error) {
      if (errorCode(error) !== 'ENOENT' || attempt === ATTEMPTS) throw error;
    }
    created = shorter(created, await makeFolder(folder));
  }
}

/** @returns the uppermost folder that was made, or undefined when all were there or one vanished meanwhile */
async function makeFolder(folder: string): Promise<string | undefined> {
  try {
    return await mkdir(folder, { recursive: true });
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function shorter(left: string | undefined, right: string | undefined): string | undefined {
  if (left === undefined || right === undefined) return left ?? right;
  return left.length <= right.length ? left : right;
}

/** Makes the entries of a folder durable. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    // ENOENT: deleted meanwhile. EINVAL, ENOTSUP: a file system that cannot sync folders.
    if (!['ENOENT', 'EINVAL', 'ENOTSUP'].includes(errorCode(error) ?? '')) throw error;
  }
}

/** Removes `folder` and its parents as long as they are empty; never `root` itself. */
export async function pruneFolders(folder: string, root: string): Promise<void> {
  for (let current = folder; current.length > root.length; current = dirname(current)) {
    try {
      await rmdir(current);
    } catch (error) {
      // Not empty, or somebody else removed it, in which case they go on with its parents.
      if (['ENOTEMPTY', 'EEXIST', 'ENOENT', 'ENOTDIR'].includes(errorCode(error) ?? '')) return;
      throw error;
    }
  }
}
