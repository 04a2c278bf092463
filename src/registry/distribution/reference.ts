import { type Digest, parseDigest } from './digest.ts';
import { DistributionError } from './errors.ts';
import type { RepositoryName, Tag, UploadId } from './names.ts';

export type { RepositoryName, Tag, UploadId };

/** What a manifest is asked for by. */
export type Reference =
  | { readonly kind: 'tag'; readonly tag: Tag }
  | { readonly kind: 'digest'; readonly digest: Digest };

/** Longest repository name; distribution has the same bound, and clients count the host in it. */
const MAX_REPOSITORY_NAME_LENGTH = 255;

// One component. Each alternative begins with another character, so the expression never backtracks far.
const COMPONENT = '[a-z0-9]+(?:(?:\\.|__?|-+)[a-z0-9]+)*';
const REPOSITORY_NAME = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function isRepositoryName(text: string): text is RepositoryName {
  return text.length <= MAX_REPOSITORY_NAME_LENGTH && REPOSITORY_NAME.test(text);
}

/** @throws DistributionError NAME_INVALID */
export function parseRepositoryName(text: string): RepositoryName {
  if (isRepositoryName(text)) return text;
  throw new DistributionError('NAME_INVALID', { detail: { name: text.slice(0, 256) } });
}

export function isTag(text: string): text is Tag {
  return TAG.test(text);
}

/** @throws DistributionError TAG_INVALID */
export function parseTag(text: string): Tag {
  if (isTag(text)) return text;
  throw new DistributionError('TAG_INVALID', { detail: { tag: text.slice(0, 256) } });
}

export function isUploadId(text: string): text is UploadId {
  return UUID.test(text);
}

/** @throws DistributionError BLOB_UPLOAD_UNKNOWN: no session can have such an id */
export function parseUploadId(text: string): UploadId {
  if (isUploadId(text)) return text;
  throw new DistributionError('BLOB_UPLOAD_UNKNOWN');
}

/**
 * A tag or a digest; a colon decides, because no tag has one.
 *
 * @throws DistributionError TAG_INVALID or DIGEST_INVALID
 */
export function parseReference(text: string): Reference {
  return text.includes(':')
    ? { kind: 'digest', digest: parseDigest(text) }
    : { kind: 'tag', tag: parseTag(text) };
}
