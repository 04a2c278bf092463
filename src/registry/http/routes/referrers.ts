import { type Digest, isDigest } from '../../distribution/digest.ts';
import { DistributionError } from '../../distribution/errors.ts';
import { OCI_INDEX } from '../../distribution/media-types.ts';
import type { ReferrerService } from '../../distribution/referrer-service.ts';
import type { Exchange } from '../exchange.ts';
import { locationOf } from '../location.ts';
import { nextLink, parsePage } from '../pagination.ts';
import type { TargetOf } from '../path.ts';
import { respond } from '../respond.ts';
import type { Endpoint } from '../router.ts';

type Referrers = Pick<ReferrerService, 'list'>;

/**
 * `/v2/<name>/referrers/<digest>` (OCI dist-spec end-12): an image index, also of a repository or a manifest that
 * does not exist. `n` and `last`, a digest, cut the list as they do for tags.
 */
export function referrersEndpoint(referrers: Referrers): Endpoint<'referrers'> {
  return new Map([
    ['GET', { action: 'pull', handle: (exchange, target) => listReferrers(referrers, exchange, target) }],
    ['HEAD', { action: 'pull', handle: (exchange, target) => listReferrers(referrers, exchange, target) }],
  ]);
}

async function listReferrers(
  referrers: Referrers,
  exchange: Exchange,
  { repository, subject }: TargetOf<'referrers'>,
): Promise<void> {
  const { query, reply } = exchange;
  const { n, last } = parsePage(query);
  // Some clients always send the parameter: an empty one asks for nothing. Of several, each is wanted.
  const artifactTypes = query.getAll('artifactType').filter((type) => type !== '');
  const cut = { ...(n === undefined ? {} : { n }), ...(last === undefined ? {} : { last: parseLast(last) }) };
  const page = await referrers.list(repository, subject, { artifactTypes, ...cut }, exchange);
  if (artifactTypes.length > 0) reply.header('oci-filters-applied', 'artifactType');
  if (page.last !== undefined) {
    const path = locationOf(exchange, `/v2/${repository}/referrers/${subject}`);
    const next = { ...(n === undefined ? {} : { n }), last: page.last };
    reply.header('link', nextLink(path, query, next));
  }
  respond(exchange, { status: 200, headers: { 'content-type': OCI_INDEX }, body: indexOf(page.manifests) });
}

/** The descriptors are JSON already. */
function indexOf(manifests: readonly string[]): Uint8Array {
  return Buffer.from(`{"schemaVersion":2,"mediaType":"${OCI_INDEX}","manifests":[${manifests.join(',')}]}`);
}

function parseLast(text: string): Digest {
  if (isDigest(text)) return text;
  throw new DistributionError('DIGEST_INVALID', {
    message: 'the parameter last must be a digest, as in the link to the next page',
    detail: { last: text.slice(0, 256) },
  });
}
