import { availableParallelism } from 'node:os';

import { BatchBuffers } from './batch-buffers.ts';
import type { DigestAlgorithm } from './digest.ts';
import type { Digester, Digesters } from './digester.ts';
import { HashThread } from './hash-thread.ts';
import { PooledDigester } from './pooled-digester.ts';

export interface DigesterPoolOptions {
  /** Threads, started when they are needed; default 1 on a machine of two cores, else 2. */
  readonly threads?: number;
  /** Bound of the buffers of all uploads, as far as 64 KiB for each allow; default 32 MiB. */
  readonly bufferBytes?: number;
}

/** A thread that had nothing to do for one to two times so long is ended, with all that it still has in memory. */
const REST_MS = 10_000;

/** Digests streams on threads of their own; small streams are hashed at once, without a thread. */
export function createDigesters(options: DigesterPoolOptions = {}): Digesters {
  return new DigesterPool(options);
}

class DigesterPool implements Digesters {
  readonly buffers: BatchBuffers;
  readonly #threads = new Set<HashThread>();
  readonly #maxThreads: number;
  #timer: NodeJS.Timeout | undefined;
  #nextStream = 1;
  #closed = false;

  constructor(options: DigesterPoolOptions) {
    this.#maxThreads = options.threads ?? Math.max(1, Math.min(2, availableParallelism() - 1));
    this.buffers = new BatchBuffers(options.bufferBytes ?? 32 << 20);
  }

  create(algorithms: readonly DigestAlgorithm[]): Digester {
    return new PooledDigester({
      stream: this.#nextStream++,
      algorithms: [...new Set(algorithms)],
      thread: () => this.#thread(),
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await Promise.all([...this.#threads].map(async (thread) => thread.close()));
  }

  /** The thread with the fewest streams; a further one while all are busy. */
  #thread(): HashThread {
    if (this.#closed) throw new Error('the hash threads are closed');
    const [idlest] = [...this.#threads].toSorted((left, right) => left.streams - right.streams);
    const full = this.#threads.size >= this.#maxThreads;
    if (idlest !== undefined && (idlest.streams === 0 || full)) return idlest;
    const thread = new HashThread(() => this.#threads.delete(thread));
    this.#threads.add(thread);
    this.#timer ??= setInterval(() => this.#endUnused(), REST_MS).unref();
    return thread;
  }

  #endUnused(): void {
    for (const thread of this.#threads) {
      if (!thread.lookForUse()) void thread.close();
    }
    if (this.#threads.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
