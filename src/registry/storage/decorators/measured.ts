import type {
  ByteRange,
  ByteReader,
  CallOptions,
  DriverCapabilities,
  ListOptions,
  ListPage,
  ObjectStat,
  PutOptions,
  StorageDriver,
  StorageKey,
  WriteSession,
  WriteToken,
} from '../driver.ts';
import { StorageError } from '../errors.ts';

/** Names that dashboards for distribution know; Reader and Writer are ours. */
export type StorageAction =
  | 'GetContent'
  | 'PutContent'
  | 'Stat'
  | 'List'
  | 'Move'
  | 'Delete'
  | 'RedirectURL'
  /** Opening an object, up to its first byte at hand. */
  | 'Reader'
  /** Starting, resuming, flushing, suspending, committing and aborting an upload, one observation each. */
  | 'Writer';

/** Where measurements go. */
export interface StorageMetrics {
  /** One call that ended, well or not. */
  observe(driver: string, action: StorageAction, seconds: number): void;
  /** @param code of a StorageError, `ABORTED` when the caller left, else `UNKNOWN` */
  error(driver: string, action: StorageAction, code: string): void;
}

/**
 * Reports how long each call took and which ones failed. The time that a stream takes is the client's and is
 * not measured; its errors are.
 *
 * @param now milliseconds of a clock that never goes back
 */
export function measured(
  driver: StorageDriver,
  metrics: StorageMetrics,
  now: () => number = () => performance.now(),
): StorageDriver {
  return new MeasuredDriver(driver, metrics, now);
}

class MeasuredDriver implements StorageDriver {
  readonly #inner: StorageDriver;
  readonly #metrics: StorageMetrics;
  readonly #now: () => number;

  constructor(inner: StorageDriver, metrics: StorageMetrics, now: () => number) {
    this.#inner = inner;
    this.#metrics = metrics;
    this.#now = now;
  }

  get capabilities(): DriverCapabilities {
    return this.#inner.capabilities;
  }

  stat(key: StorageKey, options?: CallOptions): Promise<ObjectStat | undefined> {
    return this.#measure('Stat', () => this.#inner.stat(key, options));
  }

  get(key: StorageKey, maxBytes: number, options?: CallOptions): Promise<Uint8Array | undefined> {
    return this.#measure('GetContent', () => this.#inner.get(key, maxBytes, options));
  }

  put(key: StorageKey, bytes: Uint8Array, options?: PutOptions): Promise<boolean> {
    return this.#measure('PutContent', () => this.#inner.put(key, bytes, options));
  }

  async open(key: StorageKey, range?: ByteRange, options?: CallOptions): Promise<ByteReader | undefined> {
    const reader = await this.#measure('Reader', () => this.#inner.open(key, range, options));
    return (
      reader && {
        size: reader.size,
        read: () => this.#watch('Reader', reader.read()),
        close: () => reader.close(),
      }
    );
  }

  async startWrite(key: StorageKey, options?: CallOptions): Promise<WriteSession> {
    return this.#session(await this.#measure('Writer', () => this.#inner.startWrite(key, options)));
  }

  async resumeWrite(
    key: StorageKey,
    token?: WriteToken,
    options?: CallOptions,
  ): Promise<WriteSession | undefined> {
    const session = await this.#measure('Writer', () => this.#inner.resumeWrite(key, token, options));
    return session && this.#session(session);
  }

  lastWrite(key: StorageKey, options?: CallOptions): Promise<Date | undefined> {
    return this.#measure('Stat', () => this.#inner.lastWrite(key, options));
  }

  sweepUnfinished(prefix: string, olderThan: Date, options?: CallOptions): Promise<number> {
    return this.#inner.sweepUnfinished(prefix, olderThan, options);
  }

  list(prefix: string, options?: ListOptions & CallOptions): Promise<ListPage> {
    return this.#measure('List', () => this.#inner.list(prefix, options));
  }

  move(from: StorageKey, to: StorageKey, options?: CallOptions): Promise<void> {
    return this.#measure('Move', () => this.#inner.move(from, to, options));
  }

  delete(keys: readonly StorageKey[], options?: CallOptions): Promise<void> {
    return this.#measure('Delete', () => this.#inner.delete(keys, options));
  }

  redirectUrl(key: StorageKey, options?: CallOptions): Promise<string | undefined> {
    return this.#measure('RedirectURL', () => this.#inner.redirectUrl(key, options));
  }

  check(options?: CallOptions): Promise<void> {
    return this.#inner.check(options);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  #session(inner: WriteSession): WriteSession {
    return {
      get offset() {
        return inner.offset;
      },
      append: (chunk) => this.#watch('Writer', inner.append(chunk)),
      flush: () => this.#measure('Writer', () => inner.flush()),
      suspend: () => this.#measure('Writer', () => inner.suspend()),
      commit: (key) => this.#measure('Writer', () => inner.commit(key)),
      abort: () => this.#measure('Writer', () => inner.abort()),
    };
  }

  async #measure<T>(action: StorageAction, call: () => Promise<T>): Promise<T> {
    const start = this.#now();
    try {
      return await this.#watch(action, call());
    } finally {
      this.#metrics.observe(this.capabilities.name, action, (this.#now() - start) / 1000);
    }
  }

  async #watch<T>(action: StorageAction, result: Promise<T>): Promise<T> {
    try {
      return await result;
    } catch (error) {
      this.#metrics.error(this.capabilities.name, action, codeOf(error));
      throw error;
    }
  }
}

function codeOf(error: unknown): string {
  if (error instanceof StorageError) return error.code;
  return error instanceof Error && error.name === 'AbortError' ? 'ABORTED' : 'UNKNOWN';
}
