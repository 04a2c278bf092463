/** Free buffers that are kept for the next stream; beyond it they go back to the system. */
const IDLE_LIMIT_BYTES = 16 << 20;

interface Waiter {
  readonly bytes: number;
  readonly grant: (buffer: Buffer) => void;
}

/**
 * Buffers for streams, bounded in all by `http.bufferBytes`: past the bound a request waits for a buffer in
 * place of growing the process. Buffers of one size are used again, because fresh ones cost page faults.
 */
export class BufferPool {
  readonly #limit: number;
  readonly #free = new Map<number, Buffer[]>();
  readonly #waiting: Waiter[] = [];
  #idleBytes = 0;
  #usedBytes = 0;
  #leases = 0;

  /** @param limitBytes bound of all buffers that are lent out at once */
  constructor(limitBytes: number) {
    this.#limit = limitBytes;
  }

  /** Buffers that are lent out: about the number of open streams. */
  get leases(): number {
    return this.#leases;
  }

  /** Bytes that are lent out. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  get limitBytes(): number {
    return this.#limit;
  }

  /** A buffer of exactly this size if the bound allows it now. */
  tryAcquire(bytes: number): Buffer | undefined {
    return this.#waiting.length === 0 && this.#fits(bytes) ? this.#take(bytes) : undefined;
  }

  /**
   * A buffer of exactly this size; waits in turn. A single buffer larger than the bound is granted when it is
   * the only one, so that a small bound slows down but never blocks for ever. Who holds a buffer must not wait
   * for another one.
   *
   * @throws the reason of `signal` when it aborts while waiting
   */
  async acquire(bytes: number, signal?: AbortSignal): Promise<Buffer> {
    signal?.throwIfAborted();
    const ready = this.tryAcquire(bytes);
    if (ready !== undefined) return ready;
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const waiter: Waiter = { bytes, grant: resolve };
    this.#waiting.push(waiter);
    const onAbort = () => {
      const index = this.#waiting.indexOf(waiter);
      if (index < 0) return;
      this.#waiting.splice(index, 1);
      reject(signal?.reason);
      this.#grantWaiting();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Gives back what {@link acquire} returned, once. Nobody may touch it afterwards. */
  release(buffer: Buffer): void {
    this.#usedBytes -= buffer.length;
    this.#leases -= 1;
    if (this.#idleBytes + buffer.length <= IDLE_LIMIT_BYTES) {
      this.#freeOf(buffer.length).push(buffer);
      this.#idleBytes += buffer.length;
    }
    this.#grantWaiting();
  }

  #fits(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.#limit;
  }

  #take(bytes: number): Buffer {
    this.#usedBytes += bytes;
    this.#leases += 1;
    const idle = this.#freeOf(bytes).pop();
    if (idle === undefined) return Buffer.allocUnsafeSlow(bytes);
    this.#idleBytes -= bytes;
    return idle;
  }

  #grantWaiting(): void {
    for (let next = this.#waiting[0]; next !== undefined && this.#fits(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      next.grant(this.#take(next.bytes));
    }
  }

  #freeOf(bytes: number): Buffer[] {
    let list = this.#free.get(bytes);
    if (list === undefined) {
      list = [];
      this.#free.set(bytes, list);
    }
    return list;
  }
}
