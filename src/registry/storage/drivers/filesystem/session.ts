import { constants } from 'node:fs';
import { type FileHandle, open, rename, truncate, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

import type { StorageKey, WriteSession, WriteToken } from '../../driver.ts';
import type { StorageError } from '../../errors.ts';
import { failure, fromSystem, isMissing } from './failure.ts';
import { type Folders, place } from './folders.ts';
import { type LockEnvironment, UploadLock } from './upload-lock.ts';

/** The kernel is asked to write back every so many bytes, so that the last sync finds little to do. */
const WRITE_BACK_BYTES = 32 << 20;

export interface SessionOptions extends LockEnvironment {
  readonly folders: Folders;
  /** Whether bytes are on the disk before they are reported. */
  readonly sync: boolean;
  /** Absolute path of the file of unfinished bytes. */
  readonly file: string;
  /** Absolute path of an object. */
  readonly pathOf: (key: StorageKey) => string;
}

/** Starts an upload at its beginning, whatever was there before. */
export function createSession(options: SessionOptions): Promise<FileSession> {
  const { file } = options;
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
  const openFile = () => place(file, () => open(file, flags));
  return locked(options, { operation: 'startWrite', isPlaced: false, openFile });
}

/**
 * Goes on with the bytes that are there.
 *
 * @param isPlaced this process has made the file's entry durable
 * @returns undefined when there is no file
 */
export async function resumeSession(
  options: SessionOptions,
  isPlaced: boolean,
): Promise<FileSession | undefined> {
  const openFile = () => open(options.file, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    // Asked before the lock is made, which would make the folder again.
    await (await openFile()).close();
    return await locked(options, { operation: 'resumeWrite', isPlaced, openFile });
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw fromSystem(error, 'resumeWrite');
  }
}

async function locked(
  options: SessionOptions,
  how: { operation: string; isPlaced: boolean; openFile: () => Promise<FileHandle> },
): Promise<FileSession> {
  const { file, folders } = options;
  let lock: UploadLock | undefined;
  let handle: FileHandle | undefined;
  try {
    lock = await UploadLock.acquire(file, options, how.operation);
    handle = await how.openFile();
    const { size } = await handle.stat();
    return new FileSession(options, { lock, handle, offset: size, isPlaced: how.isPlaced });
  } catch (error) {
    await handle?.close();
    await lock?.release();
    await folders.prune(dirname(file));
    throw error;
  }
}

interface OpenFile {
  readonly lock: UploadLock;
  readonly handle: FileHandle;
  /** Length in bytes. */
  readonly offset: number;
  /** Whether the file's entry is durable. */
  readonly isPlaced: boolean;
}

/** Appends to the file of an upload and renames it at commit. */
class FileSession implements WriteSession {
  readonly #options: SessionOptions;
  readonly #lock: UploadLock;
  readonly #handle: FileHandle;
  #offset: number;
  /** Bytes that the disk has. */
  #synced: number;
  #isPlaced: boolean;
  #ended = false;
  #writtenBack: number;
  #writingBack: Promise<void> | undefined;
  #writeBackError: StorageError | undefined;

  constructor(options: SessionOptions, { lock, handle, offset, isPlaced }: OpenFile) {
    this.#options = options;
    this.#lock = lock;
    this.#handle = handle;
    this.#offset = offset;
    this.#synced = offset;
    this.#writtenBack = offset;
    this.#isPlaced = isPlaced;
  }

  get offset(): number {
    return this.#offset;
  }

  async append(chunk: Uint8Array): Promise<void> {
    await this.#run('append', async () => {
      await this.#lock.verifyWhenLate('append');
      for (let done = 0; done < chunk.length;) {
        const { bytesWritten } = await this.#handle.write(
          chunk,
          done,
          chunk.length - done,
          this.#offset + done,
        );
        done += bytesWritten;
      }
      // Only a whole chunk counts: after an error the caller sends the chunk again from here.
      this.#offset += chunk.length;
      this.#writeBack();
    });
  }

  async flush(): Promise<void> {
    await this.#run('flush', () => this.#keep());
  }

  async suspend(): Promise<WriteToken> {
    try {
      await this.#run('suspend', () => this.#keep());
    } catch (error) {
      // Nobody else could go on with the upload while this process holds its lock.
      if (!this.#ended) await this.#end('suspend', () => this.#dropUnsynced());
      throw error;
    }
    await this.#end('suspend', () => this.#lock.release());
    return '';
  }

  async commit(key: StorageKey): Promise<void> {
    await this.#run('commit', async () => {
      await this.#lock.verify('commit');
      // A failed append may have left bytes behind the last one that counts.
      await this.#handle.truncate(this.#offset);
      await this.#sync();
      const target = this.#options.pathOf(key);
      await this.#options.folders.placeDurably(target, () => rename(this.#options.file, target));
    });
    await this.#end('commit', () => this.#dropLock());
  }

  async abort(): Promise<void> {
    if (this.#ended) return;
    await this.#end('abort', async () => {
      try {
        await this.#lock.verify('abort');
        await unlink(this.#options.file).catch(ignoreMissing);
      } finally {
        await this.#dropLock();
      }
    });
  }

  /** What the disk did not take may be lost later on, even if it can be read now. */
  async #dropUnsynced(): Promise<void> {
    try {
      await this.#lock.verify('suspend');
      await truncate(this.#options.file, this.#synced);
    } finally {
      await this.#lock.release();
    }
  }

  async #dropLock(): Promise<void> {
    await this.#lock.release();
    await this.#options.folders.prune(dirname(this.#options.file));
  }

  /** Makes the bytes durable where they are. */
  async #keep(): Promise<void> {
    const { folders, file } = this.#options;
    await Promise.all([this.#sync(), this.#isPlaced ? undefined : folders.syncEntries(dirname(file))]);
    this.#isPlaced = true;
  }

  async #sync(): Promise<void> {
    if (!this.#options.sync) return;
    await this.#writingBack;
    if (this.#writeBackError !== undefined) throw this.#writeBackError;
    const end = this.#offset;
    await this.#handle.datasync();
    this.#synced = end;
  }

  /** Starts a sync in the background; {@link #sync} reports its failure, because the kernel tells it only once. */
  #writeBack(): void {
    if (!this.#options.sync || this.#writingBack !== undefined) return;
    if (this.#offset - this.#writtenBack < WRITE_BACK_BYTES) return;
    this.#writtenBack = this.#offset;
    this.#writingBack = this.#handle
      .datasync()
      .catch((error: unknown) => {
        this.#writeBackError ??= fromSystem(error, 'append');
      })
      .finally(() => {
        this.#writingBack = undefined;
      });
  }

  async #run(operation: string, action: () => Promise<void>): Promise<void> {
    if (this.#ended) throw failure('SESSION_BUSY', operation, 'this session has ended');
    try {
      await action();
    } catch (error) {
      throw fromSystem(error, operation);
    }
  }

  async #end(operation: string, action: () => Promise<void>): Promise<void> {
    this.#ended = true;
    try {
      await this.#writingBack;
      try {
        await this.#handle.close();
      } finally {
        await action();
      }
    } catch (error) {
      throw fromSystem(error, operation);
    }
  }
}

function ignoreMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}
