import type { BlobService, OpenBlob } from '../../distribution/blob-service.ts';
import type { Descriptor } from '../../distribution/descriptor.ts';
import { DistributionError } from '../../distribution/errors.ts';
import type { ByteRange } from '../../storage/driver.ts';
import { streamBlob } from '../blob-stream.ts';
import type { Exchange } from '../exchange.ts';
import { etag, IMMUTABLE, matchesEtag } from '../headers.ts';
import { MultipartReader } from '../multipart.ts';
import type { TargetOf } from '../path.ts';
import { parseRanges } from '../range.ts';
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
  const open: OpenRange = (range) => blobs.open(repository, digest, range, exchange);
  if (headers.range === undefined && headers['if-none-match'] === undefined) return sendWhole(exchange, open);
  const descriptor = await blobs.stat(repository, digest, exchange);
  if (isNotModified(exchange, descriptor)) return sendNotModified(exchange, descriptor);
  const [range, ...others] = rangesOf(exchange, descriptor);
  if (range === undefined) return sendWhole(exchange, open);
  if (others.length === 0) return sendRange(exchange, range, open);
  return sendRanges(exchange, { descriptor, ranges: [range, ...others] }, open);
}

type OpenRange = (range?: ByteRange) => Promise<OpenBlob>;

async function sendWhole(exchange: Exchange, open: OpenRange): Promise<void> {
  const { descriptor, reader } = await open();
  await streamBlob(exchange, { status: 200, headers: blobHeaders(descriptor, reader.size) }, reader);
}

async function sendRange(exchange: Exchange, range: ByteRange, open: OpenRange): Promise<void> {
  const { descriptor, reader } = await open(range);
  const headers = {
    ...blobHeaders(descriptor, reader.size),
    'content-range': `bytes ${range.start}-${range.end}/${descriptor.size}`,
  };
  await streamBlob(exchange, { status: 206, headers }, reader);
}

async function sendRanges(
  exchange: Exchange,
  { descriptor, ranges }: { descriptor: Descriptor; ranges: readonly ByteRange[] },
  open: OpenRange,
): Promise<void> {
  const reader = new MultipartReader(descriptor, ranges, async (range) => (await open(range)).reader);
  const headers = { ...blobHeaders(descriptor, reader.size), 'content-type': reader.mediaType };
  await streamBlob(exchange, { status: 206, headers }, reader);
}

async function deleteBlob(
  blobs: Pick<BlobService, 'delete'>,
  exchange: Exchange,
  { repository, digest }: TargetOf<'blob'>,
): Promise<void> {
  await blobs.delete(repository, digest, exchange);
  respond(exchange, { status: 202, headers: { 'docker-content-digest': digest } });
}

/** The ranges that the client wants, none for the whole blob. */
function rangesOf({ request, reply }: Exchange, { digest, size }: Descriptor): readonly ByteRange[] {
  const condition = request.headers['if-range'];
  // A date never matches: blobs have no Last-Modified.
  if (condition !== undefined && condition !== etag(digest)) return [];
  const ranges = parseRanges(request.headers.range, size);
  if (ranges !== 'unsatisfiable') return ranges ?? [];
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
