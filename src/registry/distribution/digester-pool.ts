import { availableParallelism } from 'node:os';

import type { DigestAlgorithm } from './digest.ts';
import type { Digester, Digesters } from './digester.ts';
import { HashThread } from './hash-thread.ts';
import { type BatchBuffers, PooledDigester } from './pooled-digester.ts';

export interface DigesterPoolOptions {
  /** Threads, started when they are needed; default 1 on a machine of two cores, else 2. */
  readonly threads?: number;
  /** Bound of the buffers of all streams, kept by making batches smaller, down to 64 KiB; default 16 MiB. */
  readonly bufferBytes?: number;
}

/** Smaller batches cost more in messages than a second thread saves. */
const BATCH_BYTES = 512 << 10;
const MIN_BATCH_BYTES = 64 << 10;
/** Buffers that are kept for the next stream. */
const MAX_IDLE_BUFFERS = 8;

/** Digests streams on threads of their own; what fits into one batch is hashed at once, without a thread. */
export function createDigesters(options: DigesterPoolOptions = {}): Digesters {
  return new DigesterPool(options);
}

class DigesterPool implements Digesters, BatchBuffers {
  readonly #threads = new Set<HashThread>();
  readonly #maxThreads: number;
  readonly #maxBytes: number;
  readonly #idle: ArrayBuffer[] = [];
  #lentBytes = 0;
  #nextStream = 1;
  #closed = false;

  constructor(options: DigesterPoolOptions) {
    this.#maxThreads = options.threads ?? Math.max(1, Math.min(2, availableParallelism() - 1));
    this.#maxBytes = options.bufferBytes ?? 16 << 20;
  }

  create(algorithms: readonly DigestAlgorithm[]): Digester {
    return new PooledDigester({
      stream: this.#nextStream++,
      algorithms: [...new Set(algorithms)],
      buffers: this,
      thread: () => this.#thread(),
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#idle.length = 0;
    await Promise.all([...this.#threads].map(async (thread) => thread.close()));
  }

  take(): ArrayBuffer {
    const size = this.#batchBytes();
    this.#lentBytes += size;
    if (size !== BATCH_BYTES) return new ArrayBuffer(size);
    return this.#idle.pop() ?? new ArrayBuffer(size);
  }

  give(buffer: ArrayBuffer): void {
    this.#lentBytes -= buffer.byteLength;
    const keep = buffer.byteLength === BATCH_BYTES && this.#idle.length < MAX_IDLE_BUFFERS && !this.#closed;
    if (keep) this.#idle.push(buffer);
  }

  /** A quarter of what is left, so that later streams get something too. */
  #batchBytes(): number {
    const share = Math.max((this.#maxBytes - this.#lentBytes) / 4, MIN_BATCH_BYTES);
    return Math.min(2 ** Math.floor(Math.log2(share)), BATCH_BYTES);
  }

  /** The thread with the fewest streams; a further one while all are busy. */
  #thread(): HashThread {
    if (this.#closed) throw new Error('the hash threads are closed');
    const [idlest] = [...this.#threads].toSorted((left, right) => left.streams - right.streams);
    const full = this.#threads.size >= this.#maxThreads;
    if (idlest !== undefined && (idlest.streams === 0 || full)) return idlest;
    const thread = new HashThread({
      onBuffer: (buffer) => this.give(buffer),
      onEnd: (lostBytes) => {
        this.#threads.delete(thread);
        this.#lentBytes -= lostBytes;
      },
    });
    this.#threads.add(thread);
    return thread;
  }
}
