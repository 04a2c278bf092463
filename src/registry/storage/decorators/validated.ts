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

/** Segments between slashes, none of which is `.` or `..`; one expression, because every call is checked. */
const KEY = /^(?!\.{1,2}(?:\/|$))[A-Za-z0-9._=+-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._=+-]{1,255})*$/;
const MAX_KEY_BYTES = 1024;
const MAX_PAGE = 1000;

/**
 * Refuses keys, prefixes, ranges and limits that no driver may see, above all paths that would lead out of the
 * root. Keys are checked by the parsers of names and digests already; this is the last line.
 *
 * Every method throws StorageError INVALID_KEY or INVALID_RANGE for them.
 */
export function validated(driver: StorageDriver): StorageDriver {
  return new ValidatedDriver(driver);
}

class ValidatedDriver implements StorageDriver {
  readonly #inner: StorageDriver;

  constructor(inner: StorageDriver) {
    this.#inner = inner;
  }

  get capabilities(): DriverCapabilities {
    return this.#inner.capabilities;
  }

  async stat(key: StorageKey, options?: CallOptions): Promise<ObjectStat | undefined> {
    this.#checkKey(key, 'stat');
    return this.#inner.stat(key, options);
  }

  async get(key: StorageKey, maxBytes: number, options?: CallOptions): Promise<Uint8Array | undefined> {
    this.#checkKey(key, 'get');
    return this.#inner.get(key, maxBytes, options);
  }

  async put(key: StorageKey, bytes: Uint8Array, options?: PutOptions): Promise<boolean> {
    this.#checkKey(key, 'put');
    return this.#inner.put(key, bytes, options);
  }

  async open(key: StorageKey, range?: ByteRange, options?: CallOptions): Promise<ByteReader | undefined> {
    this.#checkKey(key, 'open');
    if (range !== undefined && !isRange(range)) {
      throw this.#error('INVALID_RANGE', 'open', `${range.start}-${range.end}`);
    }
    return this.#inner.open(key, range, options);
  }

  async startWrite(key: StorageKey, options?: CallOptions): Promise<WriteSession> {
    this.#checkKey(key, 'startWrite');
    return this.#session(await this.#inner.startWrite(key, options));
  }

  async resumeWrite(
    key: StorageKey,
    token?: WriteToken,
    options?: CallOptions,
  ): Promise<WriteSession | undefined> {
    this.#checkKey(key, 'resumeWrite');
    const session = await this.#inner.resumeWrite(key, token, options);
    return session && this.#session(session);
  }

  async lastWrite(key: StorageKey, options?: CallOptions): Promise<Date | undefined> {
    this.#checkKey(key, 'lastWrite');
    return this.#inner.lastWrite(key, options);
  }

  async sweepUnfinished(prefix: string, olderThan: Date, options?: CallOptions): Promise<number> {
    this.#checkPrefix(prefix, 'sweepUnfinished');
    return this.#inner.sweepUnfinished(prefix, olderThan, options);
  }

  async list(prefix: string, options: ListOptions & CallOptions = {}): Promise<ListPage> {
    this.#checkPrefix(prefix, 'list');
    const { limit = MAX_PAGE } = options;
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE) {
      throw this.#error('INVALID_RANGE', 'list', `a limit of ${limit}`);
    }
    return this.#inner.list(prefix, options);
  }

  async move(from: StorageKey, to: StorageKey, options?: CallOptions): Promise<void> {
    this.#checkKey(from, 'move');
    this.#checkKey(to, 'move');
    return this.#inner.move(from, to, options);
  }

  async delete(keys: readonly StorageKey[], options?: CallOptions): Promise<void> {
    for (const key of keys) this.#checkKey(key, 'delete');
    return this.#inner.delete(keys, options);
  }

  async redirectUrl(key: StorageKey, options?: CallOptions): Promise<string | undefined> {
    this.#checkKey(key, 'redirectUrl');
    return this.#inner.redirectUrl(key, options);
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
      append: (chunk) => inner.append(chunk),
      flush: () => inner.flush(),
      suspend: () => inner.suspend(),
      commit: async (key) => {
        this.#checkKey(key, 'commit');
        return inner.commit(key);
      },
      abort: () => inner.abort(),
    };
  }

  #checkPrefix(prefix: string, operation: string): void {
    if (prefix === '') return;
    if (!prefix.endsWith('/')) {
      throw this.#error('INVALID_KEY', operation, `prefix ${JSON.stringify(prefix)}`);
    }
    this.#checkKey(prefix.slice(0, -1), operation);
  }

  #checkKey(key: string, operation: string): void {
    if (key.length > MAX_KEY_BYTES || !KEY.test(key))
      throw this.#error('INVALID_KEY', operation, JSON.stringify(key.slice(0, MAX_KEY_BYTES)));
  }

  #error(code: 'INVALID_KEY' | 'INVALID_RANGE', operation: string, what: string): StorageError {
    return new StorageError(code, {
      driver: this.capabilities.name,
      operation,
      message: `${what} is not valid`,
    });
  }
}

function isRange({ start, end }: ByteRange): boolean {
  return Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end;
}
