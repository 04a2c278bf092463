import type { BufferPool } from '../../buffer-pool.ts';
import type { SpilledBytes } from './spilled-bytes.ts';

/** Most blobs that are pushed are smaller; they do not take a buffer of a whole part from the pool. */
const SMALL_BYTES = 256 << 10;

export interface PartBufferOptions {
  readonly pool: BufferPool;
  /** Size of the part in bytes. */
  readonly capacity: number;
  /** Where bytes go when memory is short. */
  readonly spill: () => SpilledBytes;
}

/**
 * Gathers the bytes of one part: the first ones in memory of its own, more of them in a buffer of the pool.
 *
 * A client that is slow to fill its buffer loses it when others wait for one: its bytes are put aside, further
 * ones follow in small pieces, and a buffer is needed only at the end, for as long as it takes to send the part.
 */
export class PartBuffer {
  readonly #options: PartBufferOptions;
  #small: Buffer[] = [];
  #smallBytes = 0;
  #pooled: Buffer | undefined;
  #spilled: SpilledBytes | undefined;
  /** Bytes are on their way out of the pooled buffer. */
  #spilling: Promise<void> = Promise.resolve();
  #length = 0;

  constructor(options: PartBufferOptions) {
    this.#options = options;
  }

  get length(): number {
    return this.#length;
  }

  get isFull(): boolean {
    return this.#length === this.#options.capacity;
  }

  /** True when the next `append` of this many bytes needs a buffer of the pool, or has to be told to do without. */
  needsBuffer(bytes: number): boolean {
    if (this.#pooled !== undefined || this.#spilled !== undefined) return false;
    return this.#length + bytes > SMALL_BYTES;
  }

  /** Takes a buffer if there is one now. */
  tryReserve(): boolean {
    const buffer = this.#options.pool.tryAcquire(this.#options.capacity, this.#lease());
    if (buffer !== undefined) this.#use(buffer);
    return buffer !== undefined;
  }

  /** Waits for a buffer. */
  async reserve(): Promise<void> {
    this.#use(await this.#options.pool.acquire(this.#options.capacity, this.#lease()));
  }

  /** Does without a buffer as long as the part is gathered. */
  doWithout(): void {
    this.#spilled ??= this.#options.spill();
  }

  /** Copies; at most what is missing to the capacity. Call {@link reserve} before when {@link needsBuffer}. */
  async append(bytes: Uint8Array): Promise<void> {
    await this.#settled();
    if (this.#pooled === undefined) {
      this.#small.push(Buffer.from(bytes));
      this.#smallBytes += bytes.length;
    } else {
      this.#pooled.set(bytes, this.#length);
    }
    this.#length += bytes.length;
    if (this.#spilled !== undefined && this.#smallBytes >= SMALL_BYTES) await this.#spillSmall(this.#spilled);
  }

  /** Everything so far, brought back if it was put aside; valid until `release`. */
  async load(): Promise<Buffer> {
    await this.#settled();
    if (this.#spilled !== undefined) await this.#bringBack(this.#spilled);
    if (this.#pooled === undefined) return Buffer.concat(this.#small);
    this.#options.pool.keep(this.#pooled);
    return this.#pooled.subarray(0, this.#length);
  }

  /** Forgets everything and gives the buffer back. */
  async release(): Promise<void> {
    await this.#settled();
    const [pooled, spilled] = [this.#pooled, this.#spilled];
    this.#pooled = undefined;
    this.#spilled = undefined;
    this.#small = [];
    this.#smallBytes = 0;
    this.#length = 0;
    if (pooled !== undefined) this.#options.pool.release(pooled);
    await spilled?.remove();
  }

  /** Afterwards, and until the next `await`, nothing is on its way. */
  async #settled(): Promise<void> {
    for (let last: Promise<void> | undefined; last !== this.#spilling;) {
      last = this.#spilling;
      await last;
    }
  }

  #lease(): { readonly reclaim: (buffer: Buffer) => void } {
    return {
      reclaim: (buffer) => {
        if (buffer === this.#pooled) this.#spilling = this.#spillPooled(buffer);
        else this.#options.pool.keep(buffer);
      },
    };
  }

  #use(buffer: Buffer): void {
    let position = 0;
    for (const part of this.#small) position += part.copy(buffer, position);
    this.#small = [];
    this.#smallBytes = 0;
    this.#pooled = buffer;
  }

  /** Whatever cannot be put aside stays where it is. */
  async #spillPooled(buffer: Buffer): Promise<void> {
    const { pool, spill } = this.#options;
    const spilled = spill();
    try {
      if (this.#length > 0) await spilled.add(buffer.subarray(0, this.#length));
    } catch {
      pool.keep(buffer);
      return;
    }
    this.#spilled = spilled;
    this.#pooled = undefined;
    pool.release(buffer);
  }

  async #spillSmall(spilled: SpilledBytes): Promise<void> {
    await spilled.add(Buffer.concat(this.#small));
    this.#small = [];
    this.#smallBytes = 0;
  }

  async #bringBack(spilled: SpilledBytes): Promise<void> {
    const { pool, capacity } = this.#options;
    const buffer = await pool.acquire(capacity);
    try {
      let position = await spilled.readInto(buffer);
      for (const part of this.#small) position += part.copy(buffer, position);
    } catch (error) {
      pool.release(buffer);
      throw error;
    }
    this.#small = [];
    this.#smallBytes = 0;
    this.#pooled = buffer;
    this.#spilled = undefined;
    await spilled.remove();
  }
}
