import { close, read } from 'node:fs';

import type { BufferPool } from '../../buffer-pool.ts';
import type { ByteReader } from '../../driver.ts';
import { failure, fromSystem } from './failure.ts';

const KIB = 1024;

/** Objects up to this size are read at once into a buffer of their own. */
export const SMALL_BYTES = 64 * KIB;

/** Size of each of the two buffers of a stream for which the pool has no room. */
const OWN_VIEW_BYTES = 16 * KIB;

/**
 * Size of each of the two buffers of a new stream. Large reads halve the cost per byte, but with hundreds of
 * streams the memory counts more, and nobody may take more than a quarter of what is left.
 */
function viewBytes(pool: BufferPool): number {
  const wanted = [512, 256, 128].find((_, step) => pool.leases < 16 << step) ?? 64;
  let bytes = wanted * KIB;
  while (bytes > SMALL_BYTES && 2 * bytes > (pool.limitBytes - pool.usedBytes) / 4) bytes /= 2;
  return bytes;
}

/** `fs.read` at a position. @returns bytes read, 0 at the end of the file */
function readAt(fd: number, target: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, target, 0, target.length, position, (error, bytes) => {
      if (error === null) resolve(bytes);
      else reject(error);
    });
  });
}

/** Fills `target` from `position`. @throws StorageError READ_FAILED when the file is shorter */
export async function readFully(fd: number, target: Uint8Array, position: number): Promise<void> {
  for (let filled = 0; filled < target.length;) {
    const bytes = await readAt(fd, filled === 0 ? target : target.subarray(filled), position + filled);
    if (bytes === 0) throw failure('READ_FAILED', 'read', 'the file ended early');
    filled += bytes;
  }
}

/** Closes a descriptor that was only read, when nothing is left to learn from a failure. */
export function closeQuietly(fd: number): Promise<void> {
  return new Promise((resolve) => {
    close(fd, () => resolve());
  });
}

/** A reader of bytes that are in memory already. */
export class BytesReader implements ByteReader {
  readonly size: number;
  #bytes: Uint8Array | undefined;

  constructor(bytes: Uint8Array) {
    this.size = bytes.length;
    this.#bytes = bytes.length === 0 ? undefined : bytes;
  }

  async read(): Promise<Uint8Array | undefined> {
    const bytes = this.#bytes;
    this.#bytes = undefined;
    return bytes;
  }

  async close(): Promise<void> {
    this.#bytes = undefined;
  }
}

export interface FileSlice {
  readonly fd: number;
  /** First byte. */
  readonly start: number;
  readonly size: number;
}

/**
 * Positional reads into two halves of one buffer, in turn: while one is being sent the other is filled.
 *
 * The buffer is one of the pool. Where that has no room the reader begins with a small one of its own, and takes a
 * pooled one as soon as there is room: those who hold the pool may be clients that take nothing, and nobody waits for
 * them.
 */
export class FileReader implements ByteReader {
  readonly size: number;
  readonly #slice: FileSlice;
  readonly #pool: BufferPool;
  readonly #signal: AbortSignal | undefined;
  #buffer: Buffer;
  #isPooled: boolean;
  #done = 0;
  #second = false;
  #reading: Promise<number> | undefined;
  #closed: Promise<void> | undefined;

  /** Owns the descriptor from now on. */
  constructor(slice: FileSlice, pool: BufferPool, signal?: AbortSignal) {
    this.size = slice.size;
    this.#slice = slice;
    this.#pool = pool;
    this.#signal = signal;
    const pooled = pool.tryAcquire(2 * viewBytes(pool));
    this.#isPooled = pooled !== undefined;
    this.#buffer = pooled ?? Buffer.allocUnsafeSlow(2 * OWN_VIEW_BYTES);
  }

  async read(): Promise<Uint8Array | undefined> {
    this.#signal?.throwIfAborted();
    const left = this.size - this.#done;
    if (this.#closed !== undefined || left === 0) return undefined;
    if (!this.#isPooled) this.#askPool();
    const half = this.#buffer.length / 2;
    const from = this.#second ? half : 0;
    const target = this.#buffer.subarray(from, from + Math.min(half, left));
    this.#second = !this.#second;
    const bytes = await this.#fill(target);
    if (bytes === 0) throw failure('READ_FAILED', 'read', `the file ended ${left} bytes early`);
    this.#done += bytes;
    return bytes === target.length ? target : target.subarray(0, bytes);
  }

  close(): Promise<void> {
    this.#closed ??= this.#release();
    return this.#closed;
  }

  /** The small buffer is left to whoever still sends from it. */
  #askPool(): void {
    const pooled = this.#pool.tryAcquire(2 * viewBytes(this.#pool));
    if (pooled === undefined) return;
    this.#buffer = pooled;
    this.#isPooled = true;
    this.#second = false;
  }

  async #fill(target: Uint8Array): Promise<number> {
    this.#reading = readAt(this.#slice.fd, target, this.#slice.start + this.#done);
    try {
      return await this.#reading;
    } catch (error) {
      throw fromSystem(error, 'read');
    } finally {
      this.#reading = undefined;
    }
  }

  async #release(): Promise<void> {
    // The kernel may still be writing into the buffer.
    await this.#reading?.catch(() => 0);
    if (this.#isPooled) this.#pool.release(this.#buffer);
    await closeQuietly(this.#slice.fd);
  }
}
