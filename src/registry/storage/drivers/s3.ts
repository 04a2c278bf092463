import { randomUUID } from 'node:crypto';

import type { BufferPool } from '../buffer-pool.ts';
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
import { DELETE_BATCH, Bucket, type ObjectBody } from './s3/bucket.ts';
import { createClient, type S3ClientOptions } from './s3/client.ts';
import { copyObject } from './s3/copy.ts';
import { failure } from './s3/failure.ts';
import { listPrefix } from './s3/listing.ts';
import { ObjectReader } from './s3/reader.ts';
import { ObjectSession } from './s3/session.ts';
import { lastWriteOf, sweepUploads } from './s3/sweep.ts';
import { EMPTY_STATE, findState } from './s3/upload-state.ts';

const PARALLEL_DELETES = 4;

export interface S3Options extends Omit<S3ClientOptions, 'now'> {
  readonly bucket: string;
  /** Prefix of all keys, without slashes at its ends. */
  readonly prefix?: string | undefined;
  /** Bounds the buffers of all uploads. */
  readonly buffers: BufferPool;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/**
 * Objects in a bucket of AWS or of anything that speaks its protocol, at exactly their key below the prefix.
 * Makes no request yet: whether the bucket answers is for `check` to say.
 */
export function createS3Driver(options: S3Options): StorageDriver {
  const client = createClient({ ...options, now: options.now ?? Date.now });
  const bucket = new Bucket(client, options.bucket, options.prefix ?? '');
  const { buffers, endpoint, now = Date.now } = options;
  return new S3Driver(bucket, { buffers, now, isAws: endpoint === undefined });
}

class S3Driver implements StorageDriver {
  readonly #bucket: Bucket;
  readonly #buffers: BufferPool;
  readonly #now: () => number;
  /**
   * AWS promises that of many conditional writers one wins. Others may look and write in two steps (versitygw does),
   * which no trial can find out.
   */
  readonly #isAws: boolean;
  /** Whether the server honours If-None-Match; unknown until the first check has tried. */
  #conditionalPut: boolean | undefined;

  constructor(bucket: Bucket, options: { buffers: BufferPool; now: () => number; isAws: boolean }) {
    this.#bucket = bucket;
    this.#buffers = options.buffers;
    this.#now = options.now;
    this.#isAws = options.isAws;
  }

  get capabilities(): DriverCapabilities {
    return {
      name: 's3',
      conditionalPut: this.#isAws && this.#conditionalPut === true,
      flatListing: true,
      redirect: false,
      persistent: true,
    };
  }

  async stat(key: StorageKey, options?: CallOptions): Promise<ObjectStat | undefined> {
    const found = await this.#bucket.head(key, options?.signal);
    return found && { size: found.size, modifiedAt: found.modifiedAt };
  }

  async get(key: StorageKey, maxBytes: number, options?: CallOptions): Promise<Uint8Array | undefined> {
    const body = await this.#bucket.get(key, {}, options?.signal);
    if (body === undefined) return undefined;
    if (body.size > maxBytes) {
      body.stream.destroy();
      throw failure('TOO_LARGE', 'get', `${key} has ${body.size} bytes`);
    }
    const reader = this.#reader(key, 0, body, options);
    const chunks: Uint8Array[] = [];
    try {
      for (let view = await reader.read(); view !== undefined; view = await reader.read()) chunks.push(view);
    } finally {
      await reader.close();
    }
    return Buffer.concat(chunks);
  }

  async put(key: StorageKey, bytes: Uint8Array, options?: PutOptions): Promise<boolean> {
    const ifAbsent = options?.ifAbsent === true;
    // A server that ignores the condition overwrites, so as long as it has not been tried we look ourselves.
    if (ifAbsent && this.#conditionalPut !== true && (await this.#bucket.head(key, options.signal))) {
      return false;
    }
    const conditional = ifAbsent && this.#conditionalPut !== false;
    return (await this.#bucket.put(key, bytes, { ifAbsent: conditional }, options?.signal)) !== undefined;
  }

  async open(key: StorageKey, range?: ByteRange, options?: CallOptions): Promise<ByteReader | undefined> {
    const body = await this.#bucket.get(key, { range }, options?.signal);
    if (body === undefined) return undefined;
    // Servers cut a range that reaches behind the end.
    if (range !== undefined && body.size !== range.end - range.start + 1) {
      body.stream.destroy();
      throw failure('INVALID_RANGE', 'open', `${range.start}-${range.end} of ${key}`);
    }
    return this.#reader(key, range?.start ?? 0, body, options);
  }

  /** Makes no request: the first one comes with the first whole part, or at the end. */
  async startWrite(key: StorageKey, options?: CallOptions): Promise<WriteSession> {
    options?.signal?.throwIfAborted();
    return this.#session(key, EMPTY_STATE);
  }

  async resumeWrite(
    key: StorageKey,
    token?: WriteToken,
    options?: CallOptions,
  ): Promise<WriteSession | undefined> {
    const state = await findState(this.#bucket, key, token, options?.signal);
    return state && this.#session(key, state);
  }

  lastWrite(key: StorageKey, options?: CallOptions): Promise<Date | undefined> {
    return lastWriteOf(this.#bucket, key, options?.signal);
  }

  sweepUnfinished(prefix: string, olderThan: Date, options?: CallOptions): Promise<number> {
    return sweepUploads(this.#bucket, { prefix, olderThan }, options?.signal);
  }

  list(prefix: string, options: ListOptions & CallOptions = {}): Promise<ListPage> {
    return listPrefix(this.#bucket, prefix, options, options.signal);
  }

  async move(from: StorageKey, to: StorageKey, options?: CallOptions): Promise<void> {
    const source = await this.#bucket.head(from, options?.signal);
    if (source === undefined) throw failure('NOT_FOUND', 'move', from);
    const { size, etag } = source;
    await copyObject(this.#bucket, { key: from, size, etag }, to, options?.signal);
    await this.#bucket.delete([from], options?.signal);
  }

  async delete(keys: readonly StorageKey[], options?: CallOptions): Promise<void> {
    options?.signal?.throwIfAborted();
    let next = 0;
    const worker = async () => {
      while (next < keys.length) {
        const batch = keys.slice(next, next + DELETE_BATCH);
        next += DELETE_BATCH;
        await this.#bucket.delete(batch, options?.signal);
      }
    };
    await Promise.all(Array.from({ length: PARALLEL_DELETES }, worker));
  }

  async redirectUrl(): Promise<undefined> {
    return undefined;
  }

  /** Lists, and the first time also writes. */
  async check(options?: CallOptions): Promise<void> {
    const page = { after: '', limit: 1, delimiter: undefined, token: undefined };
    await this.#bucket.list('', page, options?.signal);
    this.#conditionalPut ??= await this.#tryConditionalPut(options?.signal);
  }

  async close(): Promise<void> {
    this.#bucket.close();
  }

  async #tryConditionalPut(signal: AbortSignal | undefined): Promise<boolean> {
    const key = `.check~${randomUUID()}`;
    const bytes = Buffer.from('written to learn whether the server honours If-None-Match\n');
    await this.#bucket.put(key, bytes, {}, signal);
    try {
      return (await this.#bucket.put(key, bytes, { ifAbsent: true }, signal)) === undefined;
    } finally {
      await this.#bucket.delete([key]);
    }
  }

  #reader(key: StorageKey, start: number, body: ObjectBody, options: CallOptions | undefined): ObjectReader {
    return new ObjectReader(this.#bucket, { key, start, signal: options?.signal }, body);
  }

  #session(key: StorageKey, state: typeof EMPTY_STATE): ObjectSession {
    return new ObjectSession({ bucket: this.#bucket, buffers: this.#buffers, now: this.#now, key }, state);
  }
}
