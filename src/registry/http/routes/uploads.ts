import type { BlobService } from '../../distribution/blob-service.ts';
import { isDigest, parseDigest, parseDigestAlgorithm, type Digest } from '../../distribution/digest.ts';
import { DistributionError, RangeInvalid } from '../../distribution/errors.ts';
import { isRepositoryName, type RepositoryName } from '../../distribution/reference.ts';
import type { UploadBody, UploadService } from '../../distribution/upload-service.ts';
import { skipBody, uploadBody } from '../body.ts';
import type { CountedUploads } from '../counted-uploads.ts';
import type { Exchange } from '../exchange.ts';
import { blobLocation, uploadHeaders } from '../headers.ts';
import type { TargetOf } from '../path.ts';
import { respond } from '../respond.ts';
import type { Endpoint } from '../router.ts';
import { hasBody } from '../unread-body.ts';

export interface UploadServices {
  readonly blobs: Pick<BlobService, 'mount'>;
  readonly uploads: Pick<UploadService, 'start' | 'append' | 'status' | 'cancel' | 'complete' | 'push'>;
}

/** `/v2/<name>/blobs/uploads/` (OCI dist-spec end-4a, end-4b, end-11). */
export function uploadsEndpoint(
  services: UploadServices,
  counted: Pick<CountedUploads, 'start'>,
): Endpoint<'uploads'> {
  const parts = { ...services, counted };
  return new Map([
    ['POST', { action: 'push', handle: (exchange, target) => startUpload(parts, exchange, target) }],
  ]);
}

/** `/v2/<name>/blobs/uploads/<id>` (OCI dist-spec end-5, end-6, end-13, end-14). */
export function uploadEndpoint({ uploads }: Pick<UploadServices, 'uploads'>): Endpoint<'upload'> {
  return new Map([
    ['PATCH', { action: 'push', handle: (exchange, target) => appendChunk(uploads, exchange, target) }],
    ['PUT', { action: 'push', handle: (exchange, target) => completeUpload(uploads, exchange, target) }],
    ['GET', { action: 'push', handle: (exchange, target) => uploadStatus(uploads, exchange, target) }],
    ['DELETE', { action: 'push', handle: (exchange, target) => cancelUpload(uploads, exchange, target) }],
  ]);
}

async function startUpload(
  { blobs, uploads, counted }: UploadServices & { readonly counted: Pick<CountedUploads, 'start'> },
  exchange: Exchange,
  { repository }: TargetOf<'uploads'>,
): Promise<void> {
  const { query } = exchange;
  const digest = query.get('digest');
  if (digest !== null) {
    const body = uploadBody(exchange);
    const pushed = await uploads.push(repository, parseDigest(digest), body, exchange);
    return sendCreated(exchange, repository, pushed.digest);
  }
  const source = mountSource(query);
  const mounted = source && (await blobs.mount(repository, source.digest, source.from, exchange));
  if (mounted) return sendCreated(exchange, repository, mounted.digest);
  const algorithm = algorithmOf(query);
  const upload = await counted.start(exchange, () =>
    uploads.start(repository, { signal: exchange.signal, ...algorithm }),
  );
  respond(exchange, { status: 202, headers: uploadHeaders(exchange, upload) });
}

/**
 * What to mount, and from where. Whatever cannot be mounted is no error: the client uploads it then. Everyone who
 * may push may pull, so no further right is asked for.
 */
function mountSource(
  query: URLSearchParams,
): { readonly digest: Digest; readonly from: RepositoryName | undefined } | undefined {
  const digest = query.get('mount');
  const from = query.get('from') ?? '';
  if (digest === null || !isDigest(digest)) return undefined;
  return { digest, from: isRepositoryName(from) ? from : undefined };
}

function algorithmOf(query: URLSearchParams): { algorithm?: 'sha256' | 'sha512' } {
  const name = query.get('digest-algorithm');
  if (name === null) return {};
  const algorithm = parseDigestAlgorithm(name);
  if (algorithm) return { algorithm };
  throw new DistributionError('DIGEST_INVALID', { message: 'digest-algorithm must be sha256 or sha512' });
}

async function appendChunk(
  uploads: Pick<UploadService, 'append' | 'status'>,
  exchange: Exchange,
  target: TargetOf<'upload'>,
): Promise<void> {
  checkContentType(exchange);
  const { repository, id } = target;
  const chunk = await chunkOf(uploads, exchange, target);
  const upload = await uploads.append(repository, id, chunk, exchange);
  respond(exchange, { status: 202, headers: uploadHeaders(exchange, upload) });
}

async function completeUpload(
  uploads: Pick<UploadService, 'complete' | 'status'>,
  exchange: Exchange,
  target: TargetOf<'upload'>,
): Promise<void> {
  const digest = exchange.query.get('digest');
  if (digest === null) {
    throw new DistributionError('DIGEST_INVALID', { message: 'the query parameter digest is missing' });
  }
  const { repository, id } = target;
  const body = hasBody(exchange.request) ? await chunkOf(uploads, exchange, target) : undefined;
  const descriptor = await uploads.complete({ repository, id }, parseDigest(digest), body, exchange);
  // A repeated request is answered without its body.
  if (body) await skipBody(exchange);
  sendCreated(exchange, repository, descriptor.digest);
}

/**
 * The body of a request to a session.
 *
 * @throws RangeInvalid for a Content-Range that cannot be read, with what the session really has; BLOB_UPLOAD_UNKNOWN
 *   when there is none, and what `uploadBody` throws
 */
async function chunkOf(
  uploads: Pick<UploadService, 'status'>,
  exchange: Exchange,
  { repository, id }: TargetOf<'upload'>,
): Promise<UploadBody> {
  try {
    return uploadBody(exchange);
  } catch (error) {
    if (!(error instanceof DistributionError) || error.code !== 'RANGE_INVALID') throw error;
    throw new RangeInvalid(await uploads.status(repository, id, exchange), error.message, { cause: error });
  }
}

async function uploadStatus(
  uploads: Pick<UploadService, 'status'>,
  exchange: Exchange,
  { repository, id }: TargetOf<'upload'>,
): Promise<void> {
  const upload = await uploads.status(repository, id, exchange);
  respond(exchange, { status: 204, headers: uploadHeaders(exchange, upload) });
}

async function cancelUpload(
  uploads: Pick<UploadService, 'cancel'>,
  exchange: Exchange,
  { repository, id }: TargetOf<'upload'>,
): Promise<void> {
  await uploads.cancel(repository, id, exchange);
  respond(exchange, { status: 204 });
}

function sendCreated(exchange: Exchange, repository: RepositoryName, digest: Digest): void {
  respond(exchange, {
    status: 201,
    headers: { location: blobLocation(exchange, repository, digest), 'docker-content-digest': digest },
  });
}

/** docker sends no Content-Type at all. */
function checkContentType({ request }: Exchange): void {
  const type = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type === '' || type === 'application/octet-stream') return;
  throw new DistributionError('UNSUPPORTED', {
    status: 415,
    message: 'Content-Type of a chunk must be application/octet-stream',
  });
}
