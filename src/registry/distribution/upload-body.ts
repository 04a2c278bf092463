import type { WriteSession } from '../storage/driver.ts';
import type { Batch, BatchBuffers } from './batch-buffers.ts';
import { BlobTooLarge } from './blob-too-large.ts';
import type { Digester } from './digester.ts';
import { DistributionError } from './errors.ts';

/** The bytes that one request brings. */
export interface UploadBody {
  /**
   * Read to its end, or to the first failure, when `return` is called. That must leave the connection intact,
   * because an answer is still to be sent.
   */
  readonly data: AsyncIterable<Uint8Array>;
  /** Content-Length, in bytes; undefined for a body of unknown length. */
  readonly length?: number;
  /** First byte of Content-Range; undefined appends at the end of the upload. */
  readonly start?: number;
  /** Longest blob that the upload may become, in bytes; undefined is no limit. */
  readonly maxBlobBytes?: number | undefined;
}

/** Where the bytes of a body go. */
export interface UploadSink {
  readonly session: WriteSession;
  /** Undefined when the digest of the first bytes is not known any more. */
  readonly digester: Digester | undefined;
}

/** What a body is received with. */
export interface ReceiveOptions {
  readonly buffers: BatchBuffers;
  readonly signal: AbortSignal;
}

/**
 * Streams a body into storage and digest, at the pace of the slowest. Bytes are collected in batches: one is
 * filled while others are written and hashed. Whatever was received before a failure has been handed to the
 * session.
 *
 * @throws DistributionError SIZE_INVALID when the body has not the promised length; BlobTooLarge; the reason of
 *   the signal; the failure of the body or of the session
 */
export async function receive(sink: UploadSink, body: UploadBody, options: ReceiveOptions): Promise<void> {
  const batches = new BatchWriter(sink, options.buffers);
  const expected = body.length;
  const { maxBlobBytes = Infinity } = body;
  const room = maxBlobBytes - sink.session.offset;
  let received = 0;
  try {
    await forEach(body.data, options.signal, async (chunk) => {
      received += chunk.byteLength;
      if (expected !== undefined && received > expected) throw sizeInvalid(expected, received);
      if (received > room) throw new BlobTooLarge(maxBlobBytes, { began: true });
      await batches.add(chunk);
    });
  } finally {
    await batches.end();
  }
  if (expected !== undefined && received < expected) throw sizeInvalid(expected, received);
}

/** Batches that are being written and hashed, besides the one that is being filled. */
const MAX_UNDER_WAY = 2;

class BatchWriter {
  readonly #sink: UploadSink;
  readonly #buffers: BatchBuffers;
  #batch: Batch | undefined;
  #filled = 0;
  /** In the order of the stream; each settles after those before it. */
  readonly #underWay: Promise<void>[] = [];
  #last: Promise<void> = Promise.resolve();

  constructor(sink: UploadSink, buffers: BatchBuffers) {
    this.#sink = sink;
    this.#buffers = buffers;
  }

  /** @throws the failure of an earlier batch */
  async add(chunk: Uint8Array): Promise<void> {
    for (let start = 0; start < chunk.byteLength;) {
      if (this.#batch === undefined && this.#underWay.length >= MAX_UNDER_WAY) await this.#underWay.shift();
      const batch = (this.#batch ??= this.#buffers.take());
      const part = chunk.subarray(start, start + batch.byteLength - this.#filled);
      batch.set(part, this.#filled);
      this.#filled += part.byteLength;
      start += part.byteLength;
      if (this.#filled === batch.byteLength) this.#write();
    }
  }

  /** Writes what is left, and waits for everything. */
  async end(): Promise<void> {
    this.#write();
    await Promise.all(this.#underWay);
  }

  #write(): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    const bytes = batch.subarray(0, this.#filled);
    this.#batch = undefined;
    this.#filled = 0;
    const previous = this.#last;
    const written = this.#writeBytes(bytes, previous).finally(() => this.#buffers.give(batch));
    this.#last = written;
    // Awaited by a later `add` or by `end`; until then a failure is not unhandled.
    written.catch(() => undefined);
    this.#underWay.push(written);
  }

  /** Hashing starts at once, writing when everything before it is written: a failure leaves no hole. */
  async #writeBytes(bytes: Uint8Array, previous: Promise<void>): Promise<void> {
    const { session, digester } = this.#sink;
    const results = await Promise.allSettled([
      previous.then(async () => session.append(bytes)),
      digester?.update(bytes),
    ]);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }
}

/** Runs `work` on each step; an abort also ends the wait for a step that may never come. */
async function forEach(
  data: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  work: (chunk: Uint8Array) => Promise<void>,
): Promise<void> {
  const iterator = data[Symbol.asyncIterator]();
  let interrupt: ((reason: unknown) => void) | undefined;
  const onAbort = (): void => interrupt?.(signal.reason);
  signal.addEventListener('abort', onAbort);
  try {
    for (;;) {
      signal.throwIfAborted();
      const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<Uint8Array, unknown>>();
      interrupt = reject;
      iterator.next().then(resolve, reject);
      const step = await promise;
      if (step.done === true) return;
      await work(step.value);
    }
  } catch (error) {
    // Not awaited: it may wait for the step that does not come.
    iterator.return?.().catch(() => undefined);
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function sizeInvalid(expected: number, received: number): DistributionError {
  return new DistributionError('SIZE_INVALID', { detail: { expected, received } });
}
