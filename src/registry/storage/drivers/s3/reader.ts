import type { Readable } from 'node:stream';

import type { ByteReader } from '../../driver.ts';
import type { Bucket, ObjectBody } from './bucket.ts';
import { failure, fromSdk } from './failure.ts';

/** Attempts to go on after a broken connection that brought not a single byte. */
const ATTEMPTS = 3;

export interface ReadPlan {
  readonly key: string;
  /** Offset of the first byte. */
  readonly start: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * Hands on the chunks of one response, at the pace of the reader. A connection that breaks is replaced by a
 * request for the rest, of the same version of the object.
 */
export class ObjectReader implements ByteReader {
  readonly size: number;
  readonly #bucket: Bucket;
  readonly #plan: ReadPlan;
  readonly #etag: string;
  #stream: Readable;
  #chunks: AsyncIterator<unknown>;
  #done = 0;
  #closed = false;

  constructor(bucket: Bucket, plan: ReadPlan, body: ObjectBody) {
    this.#bucket = bucket;
    this.#plan = plan;
    this.size = body.size;
    this.#etag = body.etag;
    this.#stream = body.stream;
    this.#chunks = body.stream[Symbol.asyncIterator]();
  }

  async read(): Promise<Uint8Array | undefined> {
    for (let attempt = 1; ; attempt++) {
      this.#plan.signal?.throwIfAborted();
      if (this.#closed || this.#done === this.size) return undefined;
      try {
        return await this.#next();
      } catch (error) {
        this.#plan.signal?.throwIfAborted();
        if (this.#closed) return undefined;
        if (attempt === ATTEMPTS) throw failed(error, this.size - this.#done);
      }
      await this.#reopen();
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // The end of a response that was read completely frees its connection for the next request.
    if (this.#done === this.size) this.#stream.resume();
    else this.#stream.destroy();
  }

  async #next(): Promise<Uint8Array> {
    const { value, done } = await this.#chunks.next();
    if (done === true || !(value instanceof Uint8Array)) throw new Error('the response ended early');
    this.#done += value.length;
    if (this.#done > this.size) throw new Error('the response is longer than it said');
    return value;
  }

  async #reopen(): Promise<void> {
    const { key, start, signal } = this.#plan;
    this.#stream.destroy();
    const range = { start: start + this.#done, end: start + this.size - 1 };
    const body = await this.#bucket.get(key, { range, etag: this.#etag }, signal).catch((error: unknown) => {
      signal?.throwIfAborted();
      throw failed(error, this.size - this.#done);
    });
    if (body === undefined) throw failure('READ_FAILED', 'read', `${key} was deleted while it was read`);
    this.#stream = body.stream;
    this.#chunks = body.stream[Symbol.asyncIterator]();
    if (this.#closed) this.#stream.destroy();
  }
}

function failed(error: unknown, left: number): Error {
  const { message } = fromSdk(error, 'read');
  return failure('READ_FAILED', 'read', `${left} bytes are missing: ${message}`);
}
