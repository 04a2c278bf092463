import { constants } from 'node:fs';
import { type FileHandle, open, rename, truncate, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

import type { StorageKey, WriteSession, WriteToken } from '../../driver.ts';
import type { StorageError } from '../../errors.ts';
import { failure, fromSystem, isMissing } from './failure.ts';
import { place, placeDurably, pruneFolders } from './folders.ts';
import { type LockEnvironment, UploadLock } from './upload-lock.ts';

/** The kernel is asked to write back every so many bytes, so that the last sync finds little to do. */
const WRITE_BACK_BYTES = 32 << 20;

export interface SessionOptions extends LockEnvironment {
  readonly root: string;
  /** Absolute path of the file of unfinished bytes. */
  readonly file: string;
  /** Absolute path of an object. */
  readonly pathOf: (key: StorageKey) => string;
}

/** Starts an upload at its beginning, whatever was there before. */
export function createSession(options: SessionOptions): Promise<FileSession> {
  const { file } = options;
  return locked(options, 'startWrite', () =>
    place(file, () =>
      open(file, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW),
    ),
  );
}

/** Goes on with the bytes that are there. @returns undefined when there is no file */
export async function resumeSession(options: SessionOptions): Promise<FileSession | undefined> {
  const openFile = () => open(options.file, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    // Asked before the lock is made, which would make the folder again.
    await (await openFile()).close();
    return await locked(options, 'resumeWrite', openFile);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw fromSystem(error, 'resumeWrite');
  }
}

async function locked(
  options: SessionOptions,
  operation: string,
  openFile: () => Promise<FileHandle>,
): Promise<FileSession> {
  const lock = await UploadLock.acquire(options.file, options, operation);
  try {
    const handle = await openFile();
    const { size } = await handle.stat();
    return new FileSession(options, lock, handle, size);
  } catch (error) {
    await lock.release();
    await pruneFolders(dirname(options.file), options.root);
    throw error;
  }
}

/** Appends to the file of an upload and renames it at commit. */
class FileSession implements WriteSession {
  readonly #options: SessionOptions;
  readonly #lock: UploadLock;
  readonly #handle: FileHandle;
  #offset: number;
  /** Bytes that the disk has. */
  #synced: number;
  #ended = false;
  #writtenBack: number;
  #writingBack: Promise<void> | undefined;
  #writeBackError: StorageError | undefined;

  constructor(options: SessionOptions, lock: UploadLock, handle: FileHandle, offset: number) {
    this.#options = options;
    this.#lock = lock;
    this.#handle = handle;
    this.#offset = offset;
    this.#synced = offset;
    this.#writtenBack = offset;
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
    await this.#run('flush', () => this.#sync());
  }

  async suspend(): Promise<WriteToken> {
    try {
      await this.#run('suspend', () => this.#sync());
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
      await placeDurably(target, () => rename(this.#options.file, target));
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
    await pruneFolders(dirname(this.#options.file), this.#options.root);
  }

  async #sync(): Promise<void> {
    await this.#writingBack;
    if (this.#writeBackError !== undefined) throw this.#writeBackError;
    const end = this.#offset;
    await this.#handle.datasync();
    this.#synced = end;
  }

  /** Starts a sync in the background; {@link #sync} reports its failure, because the kernel tells it only once. */
  #writeBack(): void {
    if (this.#writingBack !== undefined || this.#offset - this.#writtenBack < WRITE_BACK_BYTES) return;
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
