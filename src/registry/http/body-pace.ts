/** How slowly a body may come. */
export interface PaceLimits {
  /** Time without a byte, and time over which the average counts; in milliseconds. */
  readonly idleMs: number;
  /** Slowest average; 0 is no limit. */
  readonly minBytesPerSecond: number;
}

/** What is wrong with the pace of a body: nothing came at all, or too little. */
export type PaceFault = 'idle' | 'slow';

/**
 * Watches how fast a client sends. Only the time counts in which the server waits for it: a disk that is slow is not
 * the fault of the client.
 */
export class BodyPace {
  readonly #limits: PaceLimits;
  /** Begin of the wait, in milliseconds on the monotonic clock. */
  #since = 0;
  /** Up to where the wait is in `#waited`. */
  #mark = 0;
  /** Waited since the average was begun, in milliseconds. */
  #waited = 0;
  /** Received since the average was begun. */
  #bytes = 0;

  constructor(limits: PaceLimits) {
    this.#limits = limits;
  }

  /** The server begins to wait for bytes. */
  wait(now: number): void {
    this.#since = now;
    this.#mark = now;
  }

  /** The wait has ended. */
  resume(now: number): void {
    this.#waited += now - this.#mark;
  }

  received(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Milliseconds until a look at the pace makes sense, while the server waits. */
  patience(now: number): number {
    const { idleMs } = this.#limits;
    const idle = this.#since + idleMs - now;
    const average = idleMs - this.#waited - (now - this.#mark);
    return Math.max(1, this.#isQuiet(now) ? idle : Math.min(idle, average));
  }

  /** Looks at the pace while the server waits. */
  check(now: number): PaceFault | undefined {
    const { idleMs, minBytesPerSecond } = this.#limits;
    this.#waited += now - this.#mark;
    this.#mark = now;
    if (now - this.#since >= idleMs) return 'idle';
    if (this.#waited < idleMs || this.#isQuiet(now)) return undefined;
    if (this.#bytes < (minBytesPerSecond * this.#waited) / 1000) return 'slow';
    this.#waited = 0;
    this.#bytes = 0;
    return undefined;
  }

  /** Whether what comes next, or that nothing comes, will tell more than the average. */
  #isQuiet(now: number): boolean {
    return now - this.#since >= this.#limits.idleMs / 2;
  }
}
