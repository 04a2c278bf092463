import type { BufferPool } from '../../buffer-pool.ts';

/** Most blobs that are pushed are smaller; they do not take a buffer of a whole part from the pool. */
const SMALL_BYTES = 256 << 10;

/**
 * Gathers the bytes of one part: the first ones in memory of its own, more of them in a buffer of the pool.
 * Holds no pooled buffer while it waits for one.
 */
export class PartBuffer {
  readonly #pool: BufferPool;
  readonly #capacity: number;
  #small: Buffer[] = [];
  #pooled: Buffer | undefined;
  #length = 0;

  /** @param capacity size of the part in bytes */
  constructor(pool: BufferPool, capacity: number) {
    this.#pool = pool;
    this.#capacity = capacity;
  }

  get length(): number {
    return this.#length;
  }

  get isFull(): boolean {
    return this.#length === this.#capacity;
  }

  /** True when the next `append` of this many bytes has to ask the pool for a buffer. */
  needsBuffer(bytes: number): boolean {
    return this.#pooled === undefined && this.#length + bytes > SMALL_BYTES;
  }

  /** Takes a buffer if there is one now. */
  tryReserve(): boolean {
    const buffer = this.#pool.tryAcquire(this.#capacity);
    if (buffer !== undefined) this.#use(buffer);
    return buffer !== undefined;
  }

  /** Waits for a buffer. */
  async reserve(): Promise<void> {
    this.#use(await this.#pool.acquire(this.#capacity));
  }

  /** Copies; at most what is missing to the capacity. Call {@link reserve} before when {@link needsBuffer}. */
  append(bytes: Uint8Array): void {
    if (this.#pooled === undefined) this.#small.push(Buffer.from(bytes));
    else this.#pooled.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Everything so far; valid until `release`. */
  bytes(): Buffer {
    return this.#pooled?.subarray(0, this.#length) ?? Buffer.concat(this.#small);
  }

  /** Forgets everything and gives the buffer back. */
  release(): void {
    if (this.#pooled !== undefined) this.#pool.release(this.#pooled);
    this.#pooled = undefined;
    this.#small = [];
    this.#length = 0;
  }

  #use(buffer: Buffer): void {
    let position = 0;
    for (const part of this.#small) position += part.copy(buffer, position);
    this.#small = [];
    this.#pooled = buffer;
  }
}
