import { hash } from 'node:crypto';

import { type Digest, type DigestAlgorithm, parseDigest } from './digest.ts';
import type { Digester, StreamDigests } from './digester.ts';
import type { HashReply } from './hash-messages.ts';
import type { HashListener, HashThread } from './hash-thread.ts';

/** Where batches come from and go to. */
export interface BatchBuffers {
  take(): ArrayBuffer;
  give(buffer: ArrayBuffer): void;
}

export interface PooledDigesterOptions {
  readonly stream: number;
  readonly algorithms: readonly DigestAlgorithm[];
  readonly buffers: BatchBuffers;
  /** Called when the first batch is full. */
  thread(): HashThread;
}

/** Batches that the thread has; one more is being filled. */
const MAX_IN_FLIGHT = 2;
/** A stream that waits keeps at most this much to itself. */
const MAX_PARKED_BYTES = 64 << 10;

/** Copies a stream into batches, and sends each full one to a hash thread. */
export class PooledDigester implements Digester, HashListener {
  readonly #options: PooledDigesterOptions;
  #batch: Uint8Array<ArrayBuffer> | undefined;
  /** Bytes of the batch that are filled. */
  #filled = 0;
  /** The only bytes of a parked stream. */
  #parked: Uint8Array | undefined;
  #thread: HashThread | undefined;
  #inFlight = 0;
  #digests: StreamDigests | undefined;
  /** Resolves at the next reply or failure. */
  #news = Promise.withResolvers<void>();
  #failure: Error | undefined;
  #size = 0;

  constructor(options: PooledDigesterOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#size;
  }

  async update(chunk: Uint8Array): Promise<void> {
    for (let start = 0; start < chunk.byteLength;) {
      const batch = await this.#room();
      const part = chunk.subarray(start, start + batch.byteLength - this.#filled);
      batch.set(part, this.#filled);
      this.#filled += part.byteLength;
      start += part.byteLength;
      if (this.#filled === batch.byteLength) this.#send();
    }
    this.#size += chunk.byteLength;
  }

  async park(): Promise<void> {
    this.#assertUsable();
    if (this.#batch === undefined) return;
    if (this.#filled > MAX_PARKED_BYTES) {
      this.#send();
      return;
    }
    this.#parked = this.#batch.slice(0, this.#filled);
    this.#releaseBatch();
  }

  async finish(): Promise<StreamDigests> {
    this.#assertUsable();
    try {
      return this.#thread === undefined ? this.#hashHere() : await this.#hashThere(this.#thread);
    } finally {
      this.close();
    }
  }

  close(): void {
    this.#failure ??= new Error('the digest was taken or given up');
    this.#parked = undefined;
    this.#releaseBatch();
    const thread = this.#thread;
    this.#thread = undefined;
    thread?.leave(this.#options.stream);
  }

  onReply(reply: HashReply): void {
    if (reply.kind === 'buffer') this.#inFlight--;
    else this.#digests = digestsOf(reply.digests);
    this.#wake();
  }

  onFailure(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }

  #wake(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  /** The batch with room in it, once the thread has few enough. */
  async #room(): Promise<Uint8Array<ArrayBuffer>> {
    this.#assertUsable();
    while (this.#batch === undefined && this.#inFlight >= MAX_IN_FLIGHT) {
      await this.#news.promise;
      this.#assertUsable();
    }
    if (this.#batch === undefined) {
      this.#batch = new Uint8Array(this.#options.buffers.take());
      if (this.#parked !== undefined) this.#batch.set(this.#parked);
      this.#filled = this.#parked?.byteLength ?? 0;
      this.#parked = undefined;
    }
    return this.#batch;
  }

  #send(): void {
    if (this.#batch === undefined) return;
    const { stream, algorithms } = this.#options;
    const thread = this.#join();
    const { buffer } = this.#batch;
    const length = this.#filled;
    this.#batch = undefined;
    this.#filled = 0;
    this.#inFlight++;
    thread.send({ kind: 'update', stream, algorithms, buffer, length });
  }

  #join(): HashThread {
    if (this.#thread === undefined) {
      this.#thread = this.#options.thread();
      this.#thread.join(this.#options.stream, this);
    }
    return this.#thread;
  }

  /** Everything is still here: it was less than one batch. */
  #hashHere(): StreamDigests {
    const bytes = this.#parked ?? this.#batch?.subarray(0, this.#filled) ?? new Uint8Array();
    return digestsOf(this.#options.algorithms.map((name) => [name, hash(name, bytes, 'hex')]));
  }

  async #hashThere(thread: HashThread): Promise<StreamDigests> {
    if (this.#parked !== undefined) await this.#room();
    if (this.#filled > 0) this.#send();
    thread.send({ kind: 'finish', stream: this.#options.stream });
    while (this.#digests === undefined) {
      await this.#news.promise;
      this.#assertUsable();
    }
    return this.#digests;
  }

  #releaseBatch(): void {
    if (this.#batch !== undefined) this.#options.buffers.give(this.#batch.buffer);
    this.#batch = undefined;
    this.#filled = 0;
  }

  #assertUsable(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}

function digestsOf(digests: readonly (readonly [DigestAlgorithm, string])[]): StreamDigests {
  const result: { [name in DigestAlgorithm]?: Digest } = {};
  for (const [algorithm, hex] of digests) result[algorithm] = parseDigest(`${algorithm}:${hex}`);
  return result;
}
