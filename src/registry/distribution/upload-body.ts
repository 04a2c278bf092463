import type { WriteSession } from '../storage/driver.ts';
import type { Batch, BatchBuffers } from './batch-buffers.ts';
import { BlobTooLarge } from './blob-too-large.ts';
import type { ByteSource } from './byte-source.ts';
import type { Digester } from './digester.ts';
import { DistributionError } from './errors.ts';

/** The bytes that one request brings. */
export interface UploadBody {
  /** Closed after its end, or at the first failure. */
  readonly data: ByteSource;
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
  const { data } = body;
  const { signal } = options;
  const batches = new BatchWriter(sink, options.buffers);
  // Ends the wait for bytes that may never come.
  const onAbort = (): void => data.close();
  signal.addEventListener('abort', onAbort);
  try {
    await receiveBatches(batches, body, sink.session.offset, signal);
  } finally {
    signal.removeEventListener('abort', onAbort);
    data.close();
    await batches.end();
  }
}

async function receiveBatches(
  batches: BatchWriter,
  { data, length: expected, maxBlobBytes = Infinity }: UploadBody,
  offset: number,
  signal: AbortSignal,
): Promise<void> {
  let received = 0;
  signal.throwIfAborted();
  while (await data.ready()) {
    await batches.fill(async (target) => {
      const bytes = await data.fill(target);
      received += bytes;
      if (expected !== undefined && received > expected) throw sizeInvalid(expected, received);
      if (received > maxBlobBytes - offset) throw new BlobTooLarge(maxBlobBytes, { began: true });
      return bytes;
    });
    signal.throwIfAborted();
  }
  signal.throwIfAborted();
  if (expected !== undefined && received < expected) throw sizeInvalid(expected, received);
}

/** Batches that are being written and hashed, besides the one that is being filled. */
const MAX_UNDER_WAY = 2;

class BatchWriter {
  readonly #sink: UploadSink;
  readonly #buffers: BatchBuffers;
  /** In the order of the stream; each settles after those before it. */
  readonly #underWay: Promise<void>[] = [];
  #last: Promise<void> = Promise.resolve();

  constructor(sink: UploadSink, buffers: BatchBuffers) {
    this.#sink = sink;
    this.#buffers = buffers;
  }

  /**
   * Writes the bytes that `work` puts into a batch; nothing when it throws.
   *
   * @param work tells how many there are
   * @throws the failure of `work` or of an earlier batch
   */
  async fill(work: (batch: Batch) => Promise<number>): Promise<void> {
    if (this.#underWay.length >= MAX_UNDER_WAY) await this.#underWay.shift();
    const batch = this.#buffers.take();
    try {
      this.#write(batch, await work(batch));
    } catch (error) {
      this.#buffers.give(batch);
      throw error;
    }
  }

  /** Waits until everything is written. */
  async end(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  #write(batch: Batch, length: number): void {
    const previous = this.#last;
    const bytes = batch.subarray(0, length);
    const written = this.#writeBytes(bytes, previous).finally(() => this.#buffers.give(batch));
    this.#last = written;
    // Awaited by a later `fill` or by `end`; until then a failure is not unhandled.
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

function sizeInvalid(expected: number, received: number): DistributionError {
  return new DistributionError('SIZE_INVALID', { detail: { expected, received } });
}
