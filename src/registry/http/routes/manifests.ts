import type { Descriptor } from '../../distribution/descriptor.ts';
import type { MissingContent } from '../../distribution/manifest-references.ts';
import type { AcceptedManifest, ManifestService } from '../../distribution/manifest-service.ts';
import type { TagService } from '../../distribution/tag-service.ts';
import { readBounded } from '../body.ts';
import type { Exchange } from '../exchange.ts';
import { addWarning, etag, manifestLocation, matchesEtag } from '../headers.ts';
import type { TargetOf } from '../path.ts';
import { respond } from '../respond.ts';
import type { Endpoint } from '../router.ts';
import type { HttpSettings } from '../settings.ts';
import { parseTagParameters } from '../tag-parameters.ts';

export interface ManifestServices {
  readonly manifests: Pick<ManifestService, 'get' | 'stat' | 'put' | 'delete'>;
  readonly tags: Pick<TagService, 'delete'>;
}

/**
 * `/v2/<name>/manifests/<reference>` (OCI dist-spec end-3, end-7, end-9). The stored bytes are sent with the
 * type that they were pushed with, whatever the client accepts.
 */
export function manifestEndpoint(
  services: ManifestServices,
  settings: () => Pick<HttpSettings, 'allowSparse' | 'limits'>,
): Endpoint<'manifest'> {
  return new Map([
    ['GET', { action: 'pull', handle: (exchange, target) => getManifest(services, exchange, target) }],
    ['HEAD', { action: 'pull', handle: (exchange, target) => headManifest(services, exchange, target) }],
    [
      'PUT',
      {
        action: 'push',
        handle: (exchange, target) => putManifest(services, settings(), { exchange, target }),
      },
    ],
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
 * `OCI-Subject` tells the client that the list of referrers is kept here, so that it need not keep one under a tag
 * (OCI dist-spec "Pushing Manifests with Subject"), and `OCI-Tag` which tags of the query were pointed to the
 * manifest.
 */
async function putManifest(
  { manifests }: ManifestServices,
  { allowSparse, limits }: Pick<HttpSettings, 'allowSparse' | 'limits'>,
  { exchange, target }: { readonly exchange: Exchange; readonly target: TargetOf<'manifest'> },
): Promise<void> {
  const { repository, reference } = target;
  const tags = parseTagParameters(exchange.query, reference);
  const memory = exchange.bodies.received.lease();
  let accepted: AcceptedManifest;
  try {
    const bytes = await readBounded(exchange, limits.maxManifestBytes, memory);
    const contentType = exchange.request.headers['content-type'];
    accepted = await manifests.put(
      repository,
      reference,
      { contentType, bytes, tags, allowSparse },
      exchange,
    );
  } finally {
    memory.release();
  }
  const { digest, subject, missing } = accepted;
  if (missing !== undefined) addWarning(exchange, describeMissing(missing));
  if (tags.length > 0) exchange.reply.header('oci-tag', [...tags]);
  respond(exchange, {
    status: 201,
    headers: {
      location: manifestLocation(exchange, repository, digest),
      'docker-content-digest': digest,
      ...(subject && { 'oci-subject': subject }),
    },
  });
}

function describeMissing({ descriptors, more, required }: MissingContent): string {
  const count = `${more ? 'at least ' : ''}${descriptors.length} of ${required}`;
  return `the manifest is incomplete: ${count} references are missing in the repository`;
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
