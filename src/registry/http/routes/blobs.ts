import type { BlobService } from '../../distribution/blob-service.ts';
import type { Descriptor } from '../../distribution/descriptor.ts';
import { DistributionError } from '../../distribution/errors.ts';
import type { ByteRange } from '../../storage/driver.ts';
import { streamBlob } from '../blob-stream.ts';
import type { Exchange } from '../exchange.ts';
import { etag, IMMUTABLE, matchesEtag } from '../headers.ts';
import type { TargetOf } from '../path.ts';
import { parseRange } from '../range.ts';
import { respond } from '../respond.ts';
import type { Endpoint } from '../router.ts';

/** `/v2/<name>/blobs/<digest>` (OCI dist-spec end-2 and end-10). */
export function blobEndpoint(blobs: Pick<BlobService, 'stat' | 'open' | 'delete'>): Endpoint<'blob'> {
  return new Map([
    ['GET', { action: 'pull', handle: (exchange, target) => getBlob(blobs, exchange, target) }],
    ['HEAD', { action: 'pull', handle: (exchange, target) => headBlob(blobs, exchange, target) }],
    ['DELETE', { action: 'delete', handle: (exchange, target) => deleteBlob(blobs, exchange, target) }],
  ]);
}

async function headBlob(
  blobs: Pick<BlobService, 'stat'>,
  exchange: Exchange,
  { repository, digest }: TargetOf<'blob'>,
): Promise<void> {
  const descriptor = await blobs.stat(repository, digest, exchange);
  if (isNotModified(exchange, descriptor)) return sendNotModified(exchange, descriptor);
  respond(exchange, { status: 200, headers: blobHeaders(descriptor, descriptor.size) });
}

async function getBlob(
  blobs: Pick<BlobService, 'stat' | 'open'>,
  exchange: Exchange,
  { repository, digest }: TargetOf<'blob'>,
): Promise<void> {
  const { headers } = exchange.request;
  let range: ByteRange | undefined;
  if (headers.range !== undefined || headers['if-none-match'] !== undefined) {
    const descriptor = await blobs.stat(repository, digest, exchange);
    if (isNotModified(exchange, descriptor)) return sendNotModified(exchange, descriptor);
    range = rangeOf(exchange, descriptor);
  }
  const { descriptor, reader } = await blobs.open(repository, digest, range, exchange);
  const partial = range && { 'content-range': `bytes ${range.start}-${range.end}/${descriptor.size}` };
  const head = {
    status: range ? 206 : 200,
    headers: { ...blobHeaders(descriptor, reader.size), ...partial },
  };
  await streamBlob(exchange, head, reader);
}

async function deleteBlob(
  blobs: Pick<BlobService, 'delete'>,
  exchange: Exchange,
  { repository, digest }: TargetOf<'blob'>,
): Promise<void> {
  await blobs.delete(repository, digest, exchange);
  respond(exchange, { status: 202, headers: { 'docker-content-digest': digest } });
}

function rangeOf({ request, reply }: Exchange, { digest, size }: Descriptor): ByteRange | undefined {
  const condition = request.headers['if-range'];
  // A date never matches: blobs have no Last-Modified.
  if (condition !== undefined && condition !== etag(digest)) return undefined;
  const range = parseRange(request.headers.range, size);
  if (range !== 'unsatisfiable') return range;
  reply.header('content-range', `bytes */${size}`);
  throw new DistributionError('RANGE_INVALID', { message: 'the range lies outside of the blob' });
}

function isNotModified({ request }: Exchange, { digest }: Descriptor): boolean {
  return matchesEtag(request.headers['if-none-match'], digest);
}

function sendNotModified(exchange: Exchange, { digest }: Descriptor): void {
  respond(exchange, { status: 304, headers: cacheHeaders(digest) });
}

function blobHeaders({ digest, mediaType }: Descriptor, length: number): Record<string, string | number> {
  return {
    ...cacheHeaders(digest),
    'accept-ranges': 'bytes',
    'content-type': mediaType,
    'content-length': length,
  };
}

function cacheHeaders(digest: Descriptor['digest']): Record<string, string> {
  return { 'docker-content-digest': digest, etag: etag(digest), 'cache-control': IMMUTABLE };
}
