import {
  type ByteRange,
  type ByteReader,
  type CallOptions,
  type DriverCapabilities,
  type ListOptions,
  type ListPage,
  type ObjectStat,
  type PutOptions,
  type StorageDriver,
  type StorageKey,
  type WriteSession,
  type WriteToken,
} from '../driver.ts';
import { StorageError, type StorageErrorCode } from '../errors.ts';

/** Longest view that one `read` returns. */
const VIEW_BYTES = 1 << 20;

interface StoredObject {
  readonly chunks: readonly Uint8Array[];
  readonly size: number;
  readonly modifiedAt: Date;
}

interface Upload {
  chunks: Uint8Array[];
  size: number;
  /** A session holds it at this moment. */
  held: boolean;
  modifiedAt: Date;
}

/** Everything in the memory of this process: for tests and for a registry that may forget. */
export function createMemoryDriver(options: { readonly now?: () => Date } = {}): StorageDriver {
  return new MemoryDriver(options.now ?? (() => new Date()));
}

class MemoryDriver implements StorageDriver {
  readonly capabilities: DriverCapabilities = {
    name: 'memory',
    conditionalPut: true,
    flatListing: true,
    redirect: false,
    persistent: false,
  };
  readonly #now: () => Date;
  readonly #objects = new Map<string, StoredObject>();
  readonly #uploads = new Map<string, Upload>();
  /** Keys of `#objects` in order; built when a listing needs it and dropped when a key comes or goes. */
  #sorted: readonly string[] | undefined;

  constructor(now: () => Date) {
    this.#now = now;
  }

  async stat(key: StorageKey, options?: CallOptions): Promise<ObjectStat | undefined> {
    options?.signal?.throwIfAborted();
    const found = this.#objects.get(key);
    return found && { size: found.size, modifiedAt: found.modifiedAt };
  }

  async get(key: StorageKey, maxBytes: number, options?: CallOptions): Promise<Uint8Array | undefined> {
    options?.signal?.throwIfAborted();
    const found = this.#objects.get(key);
    if (found === undefined) return undefined;
    if (found.size > maxBytes) throw failure('TOO_LARGE', 'get', `${key} has ${found.size} bytes`);
    return Buffer.concat(found.chunks);
  }

  async put(key: StorageKey, bytes: Uint8Array, options?: PutOptions): Promise<boolean> {
    options?.signal?.throwIfAborted();
    if (options?.ifAbsent === true && this.#objects.has(key)) return false;
    this.#store(key, [Uint8Array.from(bytes)], bytes.length);
    return true;
  }

  async open(key: StorageKey, range?: ByteRange, options?: CallOptions): Promise<ByteReader | undefined> {
    options?.signal?.throwIfAborted();
    const found = this.#objects.get(key);
    if (found === undefined) return undefined;
    if (range !== undefined && (range.start > range.end || range.end >= found.size)) {
      throw failure('INVALID_RANGE', 'open', `${range.start}-${range.end} of ${key} (${found.size} bytes)`);
    }
    return new MemoryReader(found, range ?? { start: 0, end: found.size - 1 }, options?.signal);
  }

  async startWrite(key: StorageKey, options?: CallOptions): Promise<WriteSession> {
    options?.signal?.throwIfAborted();
    if (this.#uploads.get(key)?.held === true) throw busy('startWrite', key);
    const upload: Upload = { chunks: [], size: 0, held: true, modifiedAt: this.#now() };
    this.#uploads.set(key, upload);
    return this.#session(key, upload);
  }

  async resumeWrite(
    key: StorageKey,
    _token?: WriteToken,
    options?: CallOptions,
  ): Promise<WriteSession | undefined> {
    options?.signal?.throwIfAborted();
    const upload = this.#uploads.get(key);
    if (upload === undefined) return undefined;
    if (upload.held) throw busy('resumeWrite', key);
    upload.held = true;
    return this.#session(key, upload);
  }

  async lastWrite(key: StorageKey, options?: CallOptions): Promise<Date | undefined> {
    options?.signal?.throwIfAborted();
    return this.#uploads.get(key)?.modifiedAt;
  }

  /** What is on its way here ends with the process. */
  async sweepUnfinished(): Promise<number> {
    return 0;
  }

  async list(prefix: string, options: ListOptions & CallOptions = {}): Promise<ListPage> {
    options.signal?.throwIfAborted();
    const { after = '', limit = 1000, delimiter } = options;
    this.#sorted ??= [...this.#objects.keys()].toSorted();
    const names: string[] = [];
    for (let index = firstAfter(this.#sorted, prefix + after); index < this.#sorted.length; index++) {
      const key = this.#sorted[index] ?? '';
      if (!key.startsWith(prefix)) break;
      const name = foldName(key.slice(prefix.length), delimiter);
      if (name <= after || name === names.at(-1)) continue;
      if (names.length === limit) return { entries: names.map((entry) => ({ name: entry })), more: true };
      names.push(name);
    }
    return { entries: names.map((name) => ({ name })), more: false };
  }

  async move(from: StorageKey, to: StorageKey, options?: CallOptions): Promise<void> {
    options?.signal?.throwIfAborted();
    const found = this.#objects.get(from);
    if (found === undefined) throw failure('NOT_FOUND', 'move', from);
    this.#remove(from);
    this.#store(to, found.chunks, found.size);
  }

  async delete(keys: readonly StorageKey[], options?: CallOptions): Promise<void> {
    options?.signal?.throwIfAborted();
    for (const key of keys) this.#remove(key);
  }

  async redirectUrl(): Promise<undefined> {
    return undefined;
  }

  async check(options?: CallOptions): Promise<void> {
    options?.signal?.throwIfAborted();
  }

  async close(): Promise<void> {
    this.#objects.clear();
    this.#uploads.clear();
    this.#sorted = undefined;
  }

  #store(key: string, chunks: readonly Uint8Array[], size: number): void {
    if (!this.#objects.has(key)) this.#sorted = undefined;
    this.#objects.set(key, { chunks, size, modifiedAt: this.#now() });
  }

  #remove(key: string): void {
    if (this.#objects.delete(key)) this.#sorted = undefined;
  }

  #session(key: StorageKey, upload: Upload): WriteSession {
    return new MemorySession(upload, {
      commit: (to) => {
        this.#uploads.delete(key);
        this.#store(to, upload.chunks, upload.size);
      },
      abort: () => {
        this.#uploads.delete(key);
      },
      touch: () => {
        upload.modifiedAt = this.#now();
      },
    });
  }
}

class MemoryReader implements ByteReader {
  readonly size: number;
  readonly #signal: AbortSignal | undefined;
  readonly #views: Iterator<Uint8Array>;
  #closed = false;

  constructor(object: StoredObject, range: ByteRange, signal: AbortSignal | undefined) {
    this.size = range.end - range.start + 1;
    this.#signal = signal;
    this.#views = views(object.chunks, range);
  }

  async read(): Promise<Uint8Array | undefined> {
    this.#signal?.throwIfAborted();
    if (this.#closed) return undefined;
    const next = this.#views.next();
    return next.done === true ? undefined : next.value;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}

interface SessionEvents {
  commit(key: StorageKey): void;
  abort(): void;
  /** Bytes came. */
  touch(): void;
}

class MemorySession implements WriteSession {
  readonly #upload: Upload;
  readonly #events: SessionEvents;
  #ended = false;

  constructor(upload: Upload, events: SessionEvents) {
    this.#upload = upload;
    this.#events = events;
  }

  get offset(): number {
    return this.#upload.size;
  }

  async append(chunk: Uint8Array): Promise<void> {
    this.#assertOpen('append');
    if (chunk.length === 0) return;
    this.#upload.chunks.push(Uint8Array.from(chunk));
    this.#upload.size += chunk.length;
    this.#events.touch();
  }

  async flush(): Promise<void> {
    this.#assertOpen('flush');
  }

  async suspend(): Promise<WriteToken> {
    this.#assertOpen('suspend');
    this.#finish();
    return '';
  }

  async commit(key: StorageKey): Promise<void> {
    this.#assertOpen('commit');
    this.#finish();
    this.#events.commit(key);
  }

  async abort(): Promise<void> {
    if (this.#ended) return;
    this.#finish();
    this.#events.abort();
  }

  #finish(): void {
    this.#ended = true;
    this.#upload.held = false;
  }

  #assertOpen(operation: string): void {
    if (this.#ended) throw failure('SESSION_BUSY', operation, 'this session has ended');
  }
}

function* views(chunks: readonly Uint8Array[], range: ByteRange): Generator<Uint8Array> {
  let position = 0;
  for (const chunk of chunks) {
    const from = Math.max(range.start - position, 0);
    const to = Math.min(range.end + 1 - position, chunk.length);
    for (let start = from; start < to; start += VIEW_BYTES) {
      yield chunk.subarray(start, Math.min(start + VIEW_BYTES, to));
    }
    position += chunk.length;
  }
}

/** Index of the first key that is not before `prefix`. Keys are ASCII, so code units are in byte order. */
function firstAfter(sorted: readonly string[], prefix: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? '') < prefix) low = middle + 1;
    else high = middle;
  }
  return low;
}

function foldName(name: string, delimiter: '/' | undefined): string {
  const slash = delimiter === undefined ? -1 : name.indexOf(delimiter);
  return slash < 0 ? name : name.slice(0, slash + 1);
}

function failure(code: StorageErrorCode, operation: string, message: string): StorageError {
  return new StorageError(code, { driver: 'memory', operation, message });
}

function busy(operation: string, key: StorageKey): StorageError {
  return failure('SESSION_BUSY', operation, `another writer holds ${key}`);
}
