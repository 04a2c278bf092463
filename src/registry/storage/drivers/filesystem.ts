import { randomUUID } from 'node:crypto';
import { constants, fstatSync, open as openCallback } from 'node:fs';
import { access, lstat, open, readdir, rename, rm, stat as statPath, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import { errorCode } from '../../../shared/errors.ts';
import type { BufferPool } from '../buffer-pool.ts';
import type {
  ByteRange,
  ByteReader,
  CallOptions,
  DriverCapabilities,
  ListOptions,
  ListPage,
  ObjectStat,
  PutOptions,
  StorageDriver,
  StorageKey,
  WriteSession,
  WriteToken,
} from '../driver.ts';
import { failure, fromSystem, isMissing } from './filesystem/failure.ts';
import { statOf } from './filesystem/file-stat.ts';
import { FolderNames } from './filesystem/folder-names.ts';
import { Folders, makeRoot, place } from './filesystem/folders.ts';
import { listFolder } from './filesystem/listing.ts';
import { placeWhole } from './filesystem/placement.ts';
import { ownIdentity, type ProcessIdentity } from './filesystem/process-identity.ts';
import { PruneNotes } from './filesystem/prune-notes.ts';
import { BytesReader, closeQuietly, FileReader, readFully, SMALL_BYTES } from './filesystem/reader.ts';
import { createSession, resumeSession, type SessionOptions } from './filesystem/session.ts';
import { LOCK_SUFFIX } from './filesystem/upload-lock.ts';

/** Folder below the root for files on their way; `~` is in no key, so it never shows in listings. */
const TEMPORARY = '.tmp~';
/** A temporary file this old belongs to a process that died. */
const TEMPORARY_MAX_AGE_MS = 3_600_000;
const PARALLEL_DELETES = 16;

export interface FilesystemOptions {
  /** Absolute path; made when it is missing. */
  readonly root: string;
  /** Bounds the buffers of all readers. */
  readonly buffers: BufferPool;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly identity?: ProcessIdentity;
  /** Whether writes are on the disk before they are acknowledged; default true. */
  readonly sync?: boolean;
}

/**
 * Objects as files at exactly their key below `root`, which is the layout of distribution. Writes are durable
 * (file and folders synced) before they are acknowledged, unless `sync` is false.
 *
 * @throws StorageError when the root cannot be made or read
 */
export async function createFilesystemDriver(options: FilesystemOptions): Promise<StorageDriver> {
  const root = resolve(options.root);
  const { now = Date.now, sync = true } = options;
  try {
    await makeRoot(root, sync);
    const { buffers, identity = ownIdentity() } = options;
    const driver = new FilesystemDriver({ root, buffers, now, sync, identity });
    await driver.sweep(now() - TEMPORARY_MAX_AGE_MS);
    return driver;
  } catch (error) {
    throw fromSystem(error, 'create');
  }
}

class FilesystemDriver implements StorageDriver {
  readonly capabilities: DriverCapabilities = {
    name: 'filesystem',
    conditionalPut: true,
    flatListing: false,
    redirect: false,
    persistent: true,
  };
  readonly #options: Required<FilesystemOptions>;
  readonly #names: FolderNames;
  readonly #folders: Folders;
  readonly #temporary: string;
  readonly #notes: PruneNotes;

  constructor(options: Required<FilesystemOptions>) {
    const { root, now } = options;
    this.#options = options;
    this.#names = new FolderNames(now);
    this.#folders = new Folders(options);
    this.#temporary = join(root, TEMPORARY);
    this.#notes = new PruneNotes({ root, temporary: this.#temporary, folders: this.#folders });
  }

  async stat(key: StorageKey, options?: CallOptions): Promise<ObjectStat | undefined> {
    options?.signal?.throwIfAborted();
    try {
      const found = await lstat(this.#path(key));
      if (found.isSymbolicLink()) throw failure('ACCESS_DENIED', 'stat', `${key} is a symbolic link`);
      return found.isFile() ? statOf(found) : undefined;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw fromSystem(error, 'stat');
    }
  }

  async get(key: StorageKey, maxBytes: number, options?: CallOptions): Promise<Uint8Array | undefined> {
    options?.signal?.throwIfAborted();
    const file = await this.#openFile(key, 'get');
    if (file === undefined) return undefined;
    try {
      if (file.size > maxBytes) throw failure('TOO_LARGE', 'get', `${key} has ${file.size} bytes`);
      const bytes = Buffer.allocUnsafeSlow(file.size);
      await readFully(file.fd, bytes, 0);
      return bytes;
    } catch (error) {
      throw fromSystem(error, 'get');
    } finally {
      await closeQuietly(file.fd);
    }
  }

  async put(key: StorageKey, bytes: Uint8Array, options?: PutOptions): Promise<boolean> {
    options?.signal?.throwIfAborted();
    const target = this.#path(key);
    const { ifAbsent = false, rebuildable = false } = options ?? {};
    try {
      const temporary = await this.#writeTemporary(bytes, this.#options.sync && !rebuildable);
      try {
        await placeWhole(temporary, target, { temporary: this.#temporary, ifAbsent });
        if (!rebuildable) await this.#folders.syncEntries(dirname(target));
        return true;
      } finally {
        await unlink(temporary).catch(ignoreMissing);
      }
    } catch (error) {
      if (ifAbsent && errorCode(error) === 'EEXIST') return false;
      throw fromSystem(error, 'put');
    }
  }

  async open(key: StorageKey, range?: ByteRange, options?: CallOptions): Promise<ByteReader | undefined> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    const file = await this.#openFile(key, 'open');
    if (file === undefined) return undefined;
    const { start, end } = range ?? { start: 0, end: file.size - 1 };
    if (range !== undefined && (start > end || end >= file.size)) {
      await closeQuietly(file.fd);
      throw failure('INVALID_RANGE', 'open', `${start}-${end} of ${key} (${file.size} bytes)`);
    }
    const size = end - start + 1;
    if (size > SMALL_BYTES)
      return new FileReader({ fd: file.fd, start, size }, this.#options.buffers, signal);
    try {
      const bytes = Buffer.allocUnsafe(size);
      await readFully(file.fd, bytes, start);
      return new BytesReader(bytes);
    } catch (error) {
      throw fromSystem(error, 'open');
    } finally {
      await closeQuietly(file.fd);
    }
  }

  async startWrite(key: StorageKey, options?: CallOptions): Promise<WriteSession> {
    options?.signal?.throwIfAborted();
    try {
      return await createSession(this.#session(key));
    } catch (error) {
      throw fromSystem(error, 'startWrite');
    }
  }

  /** The file is the truth: it may hold more than the token knew of, never less. */
  async resumeWrite(
    key: StorageKey,
    token?: WriteToken,
    options?: CallOptions,
  ): Promise<WriteSession | undefined> {
    options?.signal?.throwIfAborted();
    return resumeSession(this.#session(key), token !== undefined);
  }

  /** The time of the file, or else of its folder when that holds no objects: a lock changes it, too. */
  async lastWrite(key: StorageKey, options?: CallOptions): Promise<Date | undefined> {
    const file = await this.stat(key, options);
    if (file !== undefined) return file.modifiedAt;
    try {
      const folder = dirname(this.#path(key));
      const names = await readdir(folder);
      return names.some((name) => !name.endsWith(LOCK_SUFFIX)) ? undefined : (await statPath(folder)).mtime;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw fromSystem(error, 'lastWrite');
    }
  }

  /** Temporary files tell nothing of their keys, and are nobody's but ours. */
  async sweepUnfinished(_prefix: string, olderThan: Date, options?: CallOptions): Promise<number> {
    options?.signal?.throwIfAborted();
    try {
      return await this.sweep(olderThan.getTime());
    } catch (error) {
      throw fromSystem(error, 'sweepUnfinished');
    }
  }

  /** Ends what processes that died have begun, and removes what they left. @param olderThan in milliseconds */
  async sweep(olderThan: number): Promise<number> {
    await this.#notes.finish();
    return removeTemporaries(this.#temporary, olderThan);
  }

  async list(prefix: string, options: ListOptions & CallOptions = {}): Promise<ListPage> {
    options.signal?.throwIfAborted();
    try {
      return await listFolder(this.#names, join(this.#options.root, prefix), options);
    } catch (error) {
      throw fromSystem(error, 'list');
    }
  }

  async move(from: StorageKey, to: StorageKey, options?: CallOptions): Promise<void> {
    options?.signal?.throwIfAborted();
    const source = this.#path(from);
    const target = this.#path(to);
    try {
      // Without this a missing source would look like a missing folder of the target, which would be made.
      await access(source);
      await this.#folders.placeDurably(target, () => rename(source, target));
      await this.#folders.prune(dirname(source));
    } catch (error) {
      throw fromSystem(error, 'move');
    }
  }

  async delete(keys: readonly StorageKey[], options?: CallOptions): Promise<void> {
    options?.signal?.throwIfAborted();
    const waiting = keys.values();
    const worker = async () => {
      for (const key of waiting) {
        options?.signal?.throwIfAborted();
        await this.#deleteOne(this.#path(key));
      }
    };
    const work = async () => {
      const workers = Array.from({ length: Math.min(PARALLEL_DELETES, keys.length) }, worker);
      // The note stays until nothing is going on any more, also after a failure.
      const failed = (await Promise.allSettled(workers)).find(({ status }) => status === 'rejected');
      if (failed?.status === 'rejected') throw failed.reason;
    };
    // The folders of an upload show nowhere, and every push ends with such a deletion.
    const shown = keys.filter((key) => !key.includes('/_uploads/'));
    try {
      if (shown.length === 0) await work();
      else
        await this.#notes.during(
          shown.map((key) => this.#path(key)),
          work,
        );
    } catch (error) {
      options?.signal?.throwIfAborted();
      throw fromSystem(error, 'delete');
    }
  }

  async redirectUrl(): Promise<undefined> {
    return undefined;
  }

  /** A full disk passes: what is stored can still be pulled. */
  async check(options?: CallOptions): Promise<void> {
    options?.signal?.throwIfAborted();
    try {
      const { root } = this.#options;
      if (!(await statPath(root)).isDirectory())
        throw failure('UNAVAILABLE', 'check', `${root} is no folder`);
      await access(root, constants.R_OK | constants.W_OK | constants.X_OK);
    } catch (error) {
      throw fromSystem(error, 'check');
    }
  }

  async close(): Promise<void> {}

  #path(key: string): string {
    return join(this.#options.root, key);
  }

  #session(key: StorageKey): SessionOptions {
    const { identity, now, sync } = this.#options;
    return {
      identity,
      now,
      sync,
      temporary: this.#temporary,
      folders: this.#folders,
      file: this.#path(key),
      pathOf: (other) => this.#path(other),
    };
  }

  async #openFile(key: StorageKey, operation: string): Promise<{ fd: number; size: number } | undefined> {
    let fd: number;
    try {
      fd = await openDescriptor(this.#path(key));
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw fromSystem(error, operation);
    }
    // Synchronous: the open has just loaded the inode.
    const found = fstatSync(fd);
    if (found.isFile()) return { fd, size: found.size };
    await closeQuietly(fd);
    return undefined;
  }

  async #writeTemporary(bytes: Uint8Array, sync: boolean): Promise<string> {
    const path = join(this.#temporary, randomUUID());
    const handle = await place(path, () => open(path, 'wx'));
    try {
      await handle.writeFile(bytes);
      if (sync) await handle.datasync();
    } catch (error) {
      await unlink(path).catch(ignoreMissing);
      throw error;
    } finally {
      await handle.close();
    }
    return path;
  }

  async #deleteOne(path: string): Promise<void> {
    // A crash can leave the lock of an upload behind, which would keep its folder for ever.
    for (const file of [path, path + LOCK_SUFFIX]) {
      await unlink(file).catch((error: unknown) => {
        // Linux says EISDIR for a folder, which is no object. The longest names have no room for a suffix.
        if (!isMissing(error) && !['EISDIR', 'ENAMETOOLONG'].includes(errorCode(error) ?? '')) throw error;
      });
    }
    await this.#folders.prune(dirname(path));
  }
}

/** Not a FileHandle: hot paths read through the descriptor, and half the cost of a small read was the handle. */
function openDescriptor(path: string): Promise<number> {
  return new Promise((resolvePath, reject) => {
    openCallback(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK, (error, fd) => {
      if (error === null) resolvePath(fd);
      else reject(error);
    });
  });
}

/** @param olderThan milliseconds since the epoch @returns how many were removed */
async function removeTemporaries(folder: string, olderThan: number): Promise<number> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  let removed = 0;
  for (const name of names) {
    const path = join(folder, name);
    try {
      if ((await lstat(path)).mtimeMs >= olderThan) continue;
      await rm(path, { recursive: true });
      removed += 1;
    } catch (error) {
      ignoreMissing(error);
    }
  }
  return removed;
}

function ignoreMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}
