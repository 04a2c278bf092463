import type { Descriptor } from '../../distribution/descriptor.ts';
import { MAX_MANIFEST_BYTES, type ManifestService } from '../../distribution/manifest-service.ts';
import type { TagService } from '../../distribution/tag-service.ts';
import { readBounded } from '../body.ts';
import type { Exchange } from '../exchange.ts';
import { etag, manifestLocation, matchesEtag } from '../headers.ts';
import type { TargetOf } from '../path.ts';
import { respond } from '../respond.ts';
import type { Endpoint } from '../router.ts';

export interface ManifestServices {
  readonly manifests: Pick<ManifestService, 'get' | 'stat' | 'put' | 'delete'>;
  readonly tags: Pick<TagService, 'delete'>;
}

/**
 * `/v2/<name>/manifests/<reference>` (OCI dist-spec end-3, end-7, end-9). The stored bytes are sent with the
 * type that they were pushed with, whatever the client accepts.
 */
export function manifestEndpoint(services: ManifestServices): Endpoint<'manifest'> {
  return new Map([
    ['GET', { action: 'pull', handle: (exchange, target) => getManifest(services, exchange, target) }],
    ['HEAD', { action: 'pull', handle: (exchange, target) => headManifest(services, exchange, target) }],
    ['PUT', { action: 'push', handle: (exchange, target) => putManifest(services, exchange, target) }],
    [
      'DELETE',
      { action: 'delete', handle: (exchange, target) => deleteManifest(services, exchange, target) },
    ],
  ]);
}

async function getManifest(
  { manifests }: ManifestServices,
  exchange: Exchange,
  { repository, reference }: TargetOf<'manifest'>,
): Promise<void> {
  const { descriptor, bytes } = await manifests.get(repository, reference, exchange);
  if (isNotModified(exchange, descriptor)) return sendNotModified(exchange, descriptor);
  respond(exchange, { status: 200, headers: manifestHeaders(descriptor), body: bytes });
}

async function headManifest(
  { manifests }: ManifestServices,
  exchange: Exchange,
  { repository, reference }: TargetOf<'manifest'>,
): Promise<void> {
  const descriptor = await manifests.stat(repository, reference, exchange);
  if (isNotModified(exchange, descriptor)) return sendNotModified(exchange, descriptor);
  respond(exchange, { status: 200, headers: manifestHeaders(descriptor) });
}

/**
 * Says nothing of a `subject` (`OCI-Subject`): without the referrers API the client has to keep the list of
 * referrers itself, under a tag made of the digest, and does so only as long as this header is missing (OCI dist-spec
 * "Unavailable Referrers API").
 */
async function putManifest(
  { manifests }: ManifestServices,
  exchange: Exchange,
  { repository, reference }: TargetOf<'manifest'>,
): Promise<void> {
  const bytes = await readBounded(exchange, MAX_MANIFEST_BYTES);
  const contentType = exchange.request.headers['content-type'];
  const descriptor = await manifests.put(repository, reference, { contentType, bytes }, exchange);
  respond(exchange, {
    status: 201,
    headers: {
      location: manifestLocation(exchange, repository, descriptor.digest),
      'docker-content-digest': descriptor.digest,
    },
  });
}

async function deleteManifest(
  { manifests, tags }: ManifestServices,
  exchange: Exchange,
  { repository, reference }: TargetOf<'manifest'>,
): Promise<void> {
  if (reference.kind === 'tag') await tags.delete(repository, reference.tag, exchange);
  else await manifests.delete(repository, reference.digest, exchange);
  respond(exchange, { status: 202 });
}

function isNotModified({ request }: Exchange, { digest }: Descriptor): boolean {
  return matchesEtag(request.headers['if-none-match'], digest);
}

function sendNotModified(exchange: Exchange, { digest }: Descriptor): void {
  respond(exchange, { status: 304, headers: { etag: etag(digest), 'docker-content-digest': digest } });
}

function manifestHeaders({ digest, mediaType, size }: Descriptor): Record<string, string | number> {
  return {
    'content-type': mediaType,
    'content-length': size,
    'docker-content-digest': digest,
    etag: etag(digest),
  };
}
