import { SpareBuffers } from '../../shared/spare-buffers.ts';

/** A buffer that threads share; one stream at a time has it. */
export type Batch = Uint8Array<SharedArrayBuffer>;

/** Below this, system calls and messages between threads cost more than the work on the bytes. */
const BATCH_BYTES = 512 << 10;
const MIN_BATCH_BYTES = 64 << 10;
/**
 * So many may have the full size at once, as many again half of it, all others a quarter: with many uploads memory counts
 * more.
 */
const MAX_FULL = 24;

/**
 * Buffers in which the bytes of uploads are collected, to be written and hashed in large pieces. They get
 * smaller while many are lent, instead of making anybody wait for a slow client.
 */
export class BatchBuffers {
  readonly #maxBytes: number;
  readonly #spare: SpareBuffers<Batch>;
  #lentBytes = 0;
  #lent = 0;

  /** @param maxBytes bound of all lent buffers, as far as 64 KiB for each allow */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    // All of them: each that is dropped stays until both threads have collected, which they hardly ever do.
    this.#spare = new SpareBuffers({ limitBytes: maxBytes });
  }

  take(): Batch {
    const size = this.#size();
    this.#lentBytes += size;
    this.#lent += 1;
    return this.#spare.take(size) ?? newBatch(size);
  }

  /** Takes a buffer back that nobody uses any more. */
  give(batch: Batch): void {
    this.#lentBytes -= batch.byteLength;
    this.#lent -= 1;
    this.#spare.give(batch);
  }

  /** At most a quarter of what is left, so that later streams get something too. */
  #size(): number {
    const wanted = BATCH_BYTES >> Math.min(2, Math.floor(this.#lent / MAX_FULL));
    const share = Math.max((this.#maxBytes - this.#lentBytes) / 4, MIN_BATCH_BYTES);
    return Math.min(2 ** Math.floor(Math.log2(share)), wanted);
  }
}

/** One that could grow is mapped by the engine itself, and unmapped when it is collected; see BufferPool. */
function newBatch(bytes: number): Batch {
  return new Uint8Array(new SharedArrayBuffer(bytes, { maxByteLength: bytes }), 0, bytes);
}
