import { constants } from 'node:fs';
import { mkdir, open, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';

import { errorCode } from '../../../../shared/errors.ts';

/** A folder that was just made can be removed by a concurrent delete before it is used; then it is made again. */
const ATTEMPTS = 20;
/** Folders that are known to be on the disk; the least recently used go. */
const MAX_KNOWN = 10_000;

/** Why a folder stays: it is not empty, no folder, a mount point, or not ours to remove. */
const KEPT = new Set(['ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'EBUSY', 'EACCES', 'EPERM', 'EROFS']);

export interface FolderOptions {
  /** Absolute path; its own entry is not looked after. */
  readonly root: string;
  /** Whether what is placed is on the disk before it is reported. */
  readonly sync: boolean;
}

/**
 * Puts entries into folders below a root, and makes them durable with every folder on the way to them: a file is
 * lost with its folder when the folder's own entry has not reached the disk.
 */
export class Folders {
  readonly #root: string;
  readonly #sync: boolean;
  /**
   * Folders whose entries, up to the root, this process has synced, with what tells them from another folder in
   * their place: another process may have removed one and made it again.
   */
  readonly #known = new Map<string, string>();

  constructor({ root, sync }: FolderOptions) {
    this.#root = root;
    this.#sync = sync;
  }

  /**
   * Puts a directory entry at `path` with `action` (a rename), makes missing folders, and makes the entry durable.
   * For content, whose folders no list shows: one that a death leaves empty does no harm. `placeWhole` is for links.
   *
   * @returns what `action` returned
   */
  async placeDurably<T>(path: string, action: () => Promise<T>): Promise<T> {
    const result = await place(path, action);
    await this.syncEntries(dirname(path));
    return result;
  }

  /** Makes the entries of a folder durable, and the folder itself. */
  async syncEntries(folder: string): Promise<void> {
    if (!this.#sync) return;
    const synced = new Map<string, string>();
    for (let current = folder; ; current = dirname(current)) {
      const identity = await syncFolder(current);
      // Deleted meanwhile, or nobody's but the user's.
      if (identity === undefined || current.length <= this.#root.length) break;
      synced.set(current, identity);
      if (this.#known.get(current) === identity) break;
    }
    for (const [path, identity] of synced) this.#remember(path, identity);
  }

  /** Removes `folder` and its parents as long as they are empty; never the root itself. */
  async prune(folder: string): Promise<void> {
    for (let current = folder; current.length > this.#root.length; current = dirname(current)) {
      try {
        await rmdir(current);
        this.#known.delete(current);
      } catch (error) {
        const code = errorCode(error) ?? '';
        // Somebody else removed it, and may have died before they came to its parents.
        if (code === 'ENOENT') continue;
        if (KEPT.has(code)) return;
        throw error;
      }
    }
  }

  #remember(folder: string, identity: string): void {
    this.#known.delete(folder);
    this.#known.set(folder, identity);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest);
  }
}

/** Puts a directory entry at `path` with `action` and makes missing folders, without waiting for the disk. */
export async function place<T>(path: string, action: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await action();
    } catch (error) {
      if (errorCode(error) !== 'ENOENT' || attempt === ATTEMPTS) throw error;
    }
    await makeFolder(dirname(path));
  }
}

/** Makes a folder with those above it, and syncs the entries of all that were missing. */
export async function makeRoot(root: string, sync: boolean): Promise<void> {
  const first = await mkdir(root, { recursive: true });
  if (first === undefined || !sync) return;
  for (let child = root; child.length >= first.length; child = dirname(child)) {
    await syncFolder(dirname(child));
  }
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    // One above it vanished meanwhile.
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}

/** Makes the entries of a folder durable. @returns what tells it from others; undefined when it has been deleted */
async function syncFolder(folder: string): Promise<string | undefined> {
  try {
    const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      const { ino, birthtimeNs } = await handle.stat({ bigint: true });
      await handle.sync().catch(ignoreUnsupported);
      return `${ino} ${birthtimeNs}`;
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    return undefined;
  }
}

/** There are file systems that cannot sync folders. */
function ignoreUnsupported(error: unknown): void {
  if (!['EINVAL', 'ENOTSUP'].includes(errorCode(error) ?? '')) throw error;
}
