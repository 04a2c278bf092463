import type { WriteSession } from '../storage/driver.ts';
import type { Digester } from './digester.ts';
import { DistributionError } from './errors.ts';

/** The bytes that one request brings. */
export interface UploadBody {
  /**
   * Read to its end, or up to the first failure and then left as it is: whoever made it drains or destroys the
   * rest, because an answer may have to be sent first. A yielded buffer stays untouched until the `next` after
   * the following one.
   */
  readonly data: AsyncIterable<Uint8Array>;
  /** Content-Length, in bytes; undefined for a body of unknown length. */
  readonly length?: number;
  /** First byte of Content-Range; undefined appends at the end of the upload. */
  readonly start?: number;
}

/** Where the bytes of a body go. */
export interface UploadSink {
  readonly session: WriteSession;
  /** Undefined when the digest of the first bytes is not known any more. */
  readonly digester: Digester | undefined;
}

/**
 * Streams a body into storage and digest, at the pace of the slower one. One chunk is written while the next
 * one is received. Whatever was received when it fails has been handed to the session.
 *
 * @throws DistributionError SIZE_INVALID when the body has not the promised length; the reason of the signal;
 *   the failure of the body or of the session
 */
export async function receive(sink: UploadSink, body: UploadBody, signal: AbortSignal): Promise<void> {
  let received = 0;
  let writing: Promise<unknown> = Promise.resolve();
  try {
    for (const next = interruptible(body.data, signal); ;) {
      const step = await next();
      if (step.done === true) break;
      const chunk = step.value;
      received += chunk.byteLength;
      if (received > (body.length ?? received)) throw sizeInvalid(body, received);
      await writing;
      writing = write(sink, chunk);
      // Awaited by the next turn or below; a failure in between is not unhandled.
      writing.catch(() => undefined);
    }
  } finally {
    await writing;
  }
  if (received < (body.length ?? received)) throw sizeInvalid(body, received);
}

function write({ session, digester }: UploadSink, chunk: Uint8Array): Promise<unknown> {
  const appended = session.append(chunk);
  return digester === undefined ? appended : Promise.all([appended, digester.update(chunk)]);
}

/** Steps through an iterable; an abort ends the wait for a step that may never come. */
function interruptible(
  data: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): () => Promise<IteratorResult<Uint8Array, unknown>> {
  const iterator = data[Symbol.asyncIterator]();
  return async () => {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<Uint8Array, unknown>>();
    function interrupt(): void {
      reject(signal.reason);
    }
    signal.addEventListener('abort', interrupt);
    try {
      iterator.next().then(resolve, reject);
      return await promise;
    } finally {
      signal.removeEventListener('abort', interrupt);
    }
  };
}

function sizeInvalid(body: UploadBody, received: number): DistributionError {
  return new DistributionError('SIZE_INVALID', { detail: { expected: body.length, received } });
}
