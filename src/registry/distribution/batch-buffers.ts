/** A buffer that threads share; one stream at a time has it. */
export type Batch = Uint8Array<SharedArrayBuffer>;

/** Below this, system calls and messages between threads cost more than the work on the bytes. */
const BATCH_BYTES = 512 << 10;
const MIN_BATCH_BYTES = 64 << 10;
/** Buffers of the full size that are kept for the next stream. */
const MAX_IDLE = 8;

/**
 * Buffers in which the bytes of uploads are collected, to be written and hashed in large pieces. They get
 * smaller while many are lent, instead of making anybody wait for a slow client.
 */
export class BatchBuffers {
  readonly #maxBytes: number;
  readonly #idle: Batch[] = [];
  #lentBytes = 0;

  /** @param maxBytes bound of all lent buffers, as far as 64 KiB for each allow */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  take(): Batch {
    const size = this.#size();
    this.#lentBytes += size;
    const idle = size === BATCH_BYTES ? this.#idle.pop() : undefined;
    return idle ?? new Uint8Array(new SharedArrayBuffer(size));
  }

  /** Takes a buffer back that nobody uses any more. */
  give(batch: Batch): void {
    this.#lentBytes -= batch.byteLength;
    if (batch.byteLength === BATCH_BYTES && this.#idle.length < MAX_IDLE) this.#idle.push(batch);
  }

  /** A quarter of what is left, so that later streams get something too. */
  #size(): number {
    const share = Math.max((this.#maxBytes - this.#lentBytes) / 4, MIN_BATCH_BYTES);
    return Math.min(2 ** Math.floor(Math.log2(share)), BATCH_BYTES);
  }
}
