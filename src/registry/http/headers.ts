import type { Digest } from '../distribution/digest.ts';
import type { UploadStatus } from '../distribution/errors.ts';
import type { RepositoryName } from '../distribution/reference.ts';

/** Content behind a digest never changes. */
export const IMMUTABLE = 'max-age=31536000';

export function etag(digest: Digest): string {
  return `"${digest}"`;
}

/** Whether an `If-None-Match` header names this content (RFC 9110 §13.1.2, weak comparison). */
export function matchesEtag(header: string | undefined, digest: Digest): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  return header.split(',').some((entry) => {
    const tag = entry.trim().replace(/^W\//, '');
    // Some clients leave the quotes out.
    return tag === etag(digest) || tag === digest;
  });
}

export function blobLocation(repository: RepositoryName, digest: Digest): string {
  return `/v2/${repository}/blobs/${digest}`;
}

export function manifestLocation(repository: RepositoryName, digest: Digest): string {
  return `/v2/${repository}/manifests/${digest}`;
}

/**
 * Where an upload goes on and what it has. The state is in the path, because some clients drop a query. Before
 * the first byte the range is `0-0`, as distribution says it.
 */
export function uploadHeaders(upload: UploadStatus): Record<string, string> {
  return {
    location: `/v2/${upload.repository}/blobs/uploads/${upload.id}`,
    range: `0-${Math.max(0, upload.offset - 1)}`,
    'docker-upload-uuid': upload.id,
  };
}
