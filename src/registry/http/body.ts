import type { IncomingMessage } from 'node:http';

import type { ByteSource } from '../distribution/byte-source.ts';
import { DistributionError } from '../distribution/errors.ts';
import type { UploadBody } from '../distribution/upload-service.ts';
import { noMemory } from './body-memory.ts';
import type { ByteLease } from './byte-budget.ts';
import type { Exchange } from './exchange.ts';
import { SMALL_BYTES } from './large-bodies.ts';
import { PacedBody } from './paced-body.ts';
import { parseContentRange } from './range.ts';

/**
 * The body of an upload request, read as it arrives.
 *
 * @throws DistributionError RANGE_INVALID for a Content-Range that cannot be read, SIZE_INVALID when it does not
 * agree with Content-Length
 */
export function uploadBody(exchange: Exchange): UploadBody {
  const { headers } = exchange.request;
  const range = parseContentRange(headers['content-range']);
  if (range === 'invalid') throw new DistributionError('RANGE_INVALID', { message: 'invalid Content-Range' });
  const length = contentLength(exchange.request);
  const rangeLength = range && range.end - range.start + 1;
  if (rangeLength !== undefined && length !== undefined && rangeLength !== length) {
    throw new DistributionError('SIZE_INVALID', { message: 'Content-Range and Content-Length differ' });
  }
  const known = length ?? rangeLength;
  return {
    data: bodyOf(exchange),
    ...(known === undefined ? {} : { length: known }),
    ...(range ? { start: range.start } : {}),
    maxBlobBytes: exchange.limits.maxBlobBytes,
  };
}

/**
 * Reads what is left of a body that turned out not to be needed, for an answer that is no refusal: some clients fail
 * when it comes while they still send. One that waits to be asked for its body keeps it.
 */
export async function skipBody(exchange: Exchange): Promise<void> {
  if (exchange.expectsContinue || exchange.request.complete) return;
  const body = bodyOf(exchange);
  const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  try {
    while (await body.ready()) await body.fill(scratch);
  } finally {
    body.close();
  }
}

/**
 * Reads a whole body into memory.
 *
 * @param memory claims what the body takes when it is not small; the caller releases it, whatever happens
 * @throws DistributionError MANIFEST_INVALID with status 413 as soon as it is known to be longer than `limit`, and
 *   UNAVAILABLE 503 when there is no memory for it
 */
export async function readBounded(exchange: Exchange, limit: number, memory: ByteLease): Promise<Uint8Array> {
  if ((contentLength(exchange.request) ?? 0) > limit) throw tooLarge(limit);
  const body = bodyOf(exchange);
  let bytes = Buffer.allocUnsafeSlow(Math.min(INITIAL_BYTES, limit));
  let size = 0;
  try {
    while (await body.ready()) {
      if (size === limit) throw tooLarge(limit);
      if (size === bytes.length) bytes = grown(exchange, bytes, { limit, memory });
      size += await body.fill(bytes.subarray(size));
    }
  } finally {
    body.close();
  }
  return bytes.subarray(0, size);
}

/** Most manifests are smaller. */
const INITIAL_BYTES = 8 * 1024;
const SCRATCH_BYTES = 16 * 1024;

/** The full buffer with as much room again. */
function grown(
  exchange: Exchange,
  bytes: Buffer,
  { limit, memory }: { readonly limit: number; readonly memory: ByteLease },
): Buffer<ArrayBuffer> {
  const length = Math.min(limit, 2 * bytes.length);
  if (length > SMALL_BYTES && !memory.resize(length)) throw noMemory(exchange, 'received');
  const larger = Buffer.allocUnsafeSlow(length);
  bytes.copy(larger);
  return larger;
}

/** The body as it arrives. A connection whose client is too slow is closed with the answer. */
function bodyOf(exchange: Exchange): ByteSource {
  return new PacedBody({
    request: exchange.request,
    limits: exchange.limits,
    onBegin: () => exchange.acceptBody(),
    onBytes: (bytes) => {
      exchange.receivedBytes += bytes;
    },
    onTooSlow: () => {
      exchange.refusal = 'slow_body';
      exchange.reply.header('connection', 'close');
    },
  });
}

function contentLength({ headers }: IncomingMessage): number | undefined {
  const text = headers['content-length'];
  if (text === undefined || headers['transfer-encoding'] !== undefined) return undefined;
  const length = Number(text);
  if (!Number.isSafeInteger(length)) throw new DistributionError('SIZE_INVALID');
  return length;
}

function tooLarge(limit: number): DistributionError {
  return new DistributionError('MANIFEST_INVALID', {
    status: 413,
    message: `manifest is longer than limits.maxManifestBytes: ${limit} bytes`,
    detail: { limit },
  });
}
