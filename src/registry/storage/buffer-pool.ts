import { SpareBuffers } from '../../shared/spare-buffers.ts';

/** Free buffers that are kept for the next stream; beyond it they go back to the system. */
const IDLE_LIMIT_BYTES = 16 << 20;
/** A buffer is not asked back before its holder has had so long to make use of it. */
const HOLD_MS = 1000;

type Reclaim = (buffer: Buffer) => void;

interface Waiter {
  readonly bytes: number;
  readonly grant: (buffer: Buffer) => void;
  readonly reclaim: Reclaim | undefined;
}

interface Reclaimable {
  readonly since: number;
  readonly reclaim: Reclaim;
}

export interface AcquireOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * Called once when others have waited for this buffer's room and its holder has had it for a while: it gives the
   * buffer back as soon as it can, or says by {@link BufferPool.keep} that it cannot.
   */
  readonly reclaim?: Reclaim;
}

/**
 * Buffers for streams, bounded in all by `http.bufferBytes`: past the bound a request waits for a buffer in
 * place of growing the process. Buffers of one size are used again, because fresh ones cost page faults.
 */
export class BufferPool {
  readonly #limit: number;
  readonly #now: () => number;
  readonly #spare = new SpareBuffers<Buffer>({ limitBytes: IDLE_LIMIT_BYTES, drop: freeBuffer });
  readonly #waiting: Waiter[] = [];
  /** The one that was lent first comes first. */
  readonly #reclaimable = new Map<Buffer, Reclaimable>();
  /** Those that were asked back and are not here yet. */
  readonly #reclaimed = new Set<Buffer>();
  #timer: NodeJS.Timeout | undefined;
  #usedBytes = 0;
  #leases = 0;

  /**
   * @param limitBytes bound of all buffers that are lent out at once
   * @param now milliseconds of a clock that never goes back
   */
  constructor(limitBytes: number, now: () => number = () => performance.now()) {
    this.#limit = limitBytes;
    this.#now = now;
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
  tryAcquire(bytes: number, { reclaim }: AcquireOptions = {}): Buffer | undefined {
    if (this.#waiting.length > 0 || !this.#fits(bytes)) return undefined;
    return this.#take(bytes, reclaim);
  }

  /**
   * A buffer of exactly this size; waits in turn. A single buffer larger than the bound is granted when it is
   * the only one, so that a small bound slows down but never blocks for ever. Who holds a buffer must not wait
   * for another one, unless it can be asked to give the first one back.
   *
   * @throws the reason of the signal when it aborts while waiting
   */
  async acquire(bytes: number, { signal, reclaim }: AcquireOptions = {}): Promise<Buffer> {
    signal?.throwIfAborted();
    const ready = this.tryAcquire(bytes, reclaim === undefined ? {} : { reclaim });
    if (ready !== undefined) return ready;
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const waiter: Waiter = { bytes, grant: resolve, reclaim };
    this.#waiting.push(waiter);
    this.#askForRoom();
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

  /** From here on the buffer is not asked back: its holder is about to use all of it, or cannot spare it. */
  keep(buffer: Buffer): void {
    this.#reclaimable.delete(buffer);
    if (this.#reclaimed.delete(buffer)) this.#askForRoom();
  }

  /** Gives back what {@link acquire} returned, once. Nobody may touch it afterwards. */
  release(buffer: Buffer): void {
    this.#reclaimable.delete(buffer);
    this.#reclaimed.delete(buffer);
    this.#usedBytes -= buffer.length;
    this.#leases -= 1;
    this.#spare.give(buffer);
    this.#grantWaiting();
  }

  #fits(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.#limit;
  }

  #take(bytes: number, reclaim: Reclaim | undefined): Buffer {
    this.#usedBytes += bytes;
    this.#leases += 1;
    const buffer = this.#spare.take(bytes) ?? newBuffer(bytes);
    if (reclaim !== undefined) this.#reclaimable.set(buffer, { since: this.#now(), reclaim });
    return buffer;
  }

  #grantWaiting(): void {
    for (let next = this.#waiting[0]; next !== undefined && this.#fits(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      next.grant(this.#take(next.bytes, next.reclaim));
    }
    this.#askForRoom();
  }

  /** Asks as many buffers back as those that wait need, beginning with the one that was lent first. */
  #askForRoom(): void {
    clearTimeout(this.#timer);
    for (const [buffer, { since, reclaim }] of this.#reclaimable) {
      if (this.#missingBytes() <= 0) return;
      const early = since + HOLD_MS - this.#now();
      if (early > 0) {
        this.#timer = setTimeout(() => this.#askForRoom(), Math.ceil(early));
        this.#timer.unref();
        return;
      }
      this.#reclaimable.delete(buffer);
      this.#reclaimed.add(buffer);
      reclaim(buffer);
    }
  }

  /** What those that wait will still lack when everything that was asked back has come. */
  #missingBytes(): number {
    if (this.#waiting.length === 0) return 0;
    let bytes = this.#usedBytes - this.#limit;
    for (const waiter of this.#waiting) bytes += waiter.bytes;
    for (const buffer of this.#reclaimed) bytes -= buffer.length;
    return bytes;
  }
}

/**
 * The engine maps the memory of a buffer that could be resized by itself. That of any other comes from `malloc`, whose
 * heap does not shrink below the last piece that somebody still has: after a load it keeps what was freed long ago.
 */
function newBuffer(bytes: number): Buffer {
  return Buffer.from(new ArrayBuffer(bytes, { maxByteLength: bytes }), 0, bytes);
}

/** Unmaps the memory now: the collector has no reason to come when nothing is under way any more. */
function freeBuffer({ buffer }: Buffer): void {
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
