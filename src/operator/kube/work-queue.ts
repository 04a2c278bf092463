import type { Clock } from '../../shared/clock.ts';
import type { OperatorMetrics } from '../metrics.ts';
import { exponentialMs } from './backoff.ts';
import { TokenBucket } from './token-bucket.ts';

export interface WorkQueueOptions {
  /** Label of its metrics. */
  readonly name: string;
  readonly clock: Clock;
  readonly metrics: OperatorMetrics;
}

const RETRY = { firstMs: 5, maxMs: 5 * 60_000 };
/** Of all retries together, so that an outage does not turn into a storm. */
const RETRY_RATE = { perSecond: 10, burst: 100 };
/** The longest delay that a timer of Node takes. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/**
 * Keys to reconcile. A key that is added several times before a worker takes it is handed out once; one that is
 * added while a worker has it is handed out again when the worker is done with it, never to two workers at a time.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #retryBucket: TokenBucket;
  /** Keys that wait, in order, with the time they were added. */
  readonly #waiting = new Map<string, number>();
  /** Keys that a worker has, with the time it took them. */
  readonly #processing = new Map<string, number>();
  /** Keys of `#processing` that were added meanwhile, with the time they were added. */
  readonly #again = new Map<string, number>();
  readonly #delayed = new Map<string, { readonly due: number; readonly cancel: AbortController }>();
  readonly #failures = new Map<string, number>();
  readonly #idleWorkers: ((key: string | undefined) => void)[] = [];
  #shutDown = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#retryBucket = new TokenBucket({ ...RETRY_RATE, clock: options.clock });
  }

  /** Number of keys that wait for a worker. */
  get depth(): number {
    return this.#waiting.size;
  }

  add(key: string): void {
    if (this.#shutDown || this.#waiting.has(key) || this.#again.has(key)) return;
    const now = this.#options.clock.monotonic();
    this.#options.metrics.queueAdds.inc({ name: this.#options.name });
    if (this.#processing.has(key)) {
      this.#again.set(key, now);
      return;
    }
    this.#waiting.set(key, now);
    this.#handOut();
  }

  /** Adds a key after so many milliseconds; of several delays of one key the earliest counts. */
  addAfter(key: string, ms: number): void {
    if (this.#shutDown) return;
    if (ms <= 0) {
      this.add(key);
      return;
    }
    const due = this.#options.clock.monotonic() + ms;
    const pending = this.#delayed.get(key);
    if (pending && pending.due <= due) return;
    pending?.cancel.abort();
    const cancel = new AbortController();
    this.#delayed.set(key, { due, cancel });
    void this.#wait(key, ms, cancel.signal);
  }

  /**
   * Adds a key again after a failure, later with every failure of this key until {@link forget}, and never before
   * `minMs`.
   */
  retry(key: string, minMs = 0): void {
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    this.#options.metrics.queueRetries.inc({ name: this.#options.name });
    this.addAfter(key, Math.max(minMs, exponentialMs(RETRY, failures), this.#retryBucket.reserve()));
  }

  /** Ends the series of failures of a key. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** Failures of a key since it was last forgotten. */
  failures(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  /** Takes the next key, which must be given back by {@link done}; undefined once the queue is shut down. */
  take(): Promise<string | undefined> {
    if (this.#shutDown) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#idleWorkers.push(resolve);
      this.#handOut();
    });
  }

  /** Says that the worker has finished with a key. */
  done(key: string): void {
    const { clock, metrics, name } = this.#options;
    const since = this.#processing.get(key);
    if (since === undefined) return;
    this.#processing.delete(key);
    metrics.workSeconds.observe({ name }, (clock.monotonic() - since) / 1000);
    const added = this.#again.get(key);
    if (added === undefined || this.#shutDown) return;
    this.#again.delete(key);
    this.#waiting.set(key, added);
    this.#handOut();
  }

  /** Drops everything that waits and sends the workers home. */
  shutDown(): void {
    this.#shutDown = true;
    for (const { cancel } of this.#delayed.values()) cancel.abort();
    this.#delayed.clear();
    this.#waiting.clear();
    this.#again.clear();
    for (const worker of this.#idleWorkers.splice(0)) worker(undefined);
  }

  /** Sets the gauges that change with time alone; called before metrics are read. */
  observe(): void {
    const { clock, metrics, name } = this.#options;
    const now = clock.monotonic();
    const ages = [...this.#processing.values()].map((since) => (now - since) / 1000);
    metrics.queueDepth.set({ name }, this.#waiting.size);
    metrics.longestSeconds.set({ name }, Math.max(0, ...ages));
    metrics.unfinishedSeconds.set(
      { name },
      ages.reduce((sum, age) => sum + age, 0),
    );
  }

  #handOut(): void {
    const { clock, metrics, name } = this.#options;
    for (const [key, added] of this.#waiting) {
      const worker = this.#idleWorkers.shift();
      if (!worker) return;
      const now = clock.monotonic();
      this.#waiting.delete(key);
      this.#processing.set(key, now);
      metrics.queueSeconds.observe({ name }, (now - added) / 1000);
      worker(key);
    }
  }

  async #wait(key: string, ms: number, cancelled: AbortSignal): Promise<void> {
    try {
      await this.#options.clock.sleep(Math.min(ms, MAX_DELAY_MS), cancelled);
    } catch {
      return;
    }
    this.#delayed.delete(key);
    this.add(key);
  }
}
