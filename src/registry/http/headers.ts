import type { FastifyReply } from 'fastify';

import type { Digest } from '../distribution/digest.ts';
import type { UploadStatus } from '../distribution/errors.ts';
import type { RepositoryName } from '../distribution/reference.ts';
import type { Exchange } from './exchange.ts';
import { locationOf } from './location.ts';

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

export function blobLocation(exchange: Exchange, repository: RepositoryName, digest: Digest): string {
  return locationOf(exchange, `/v2/${repository}/blobs/${digest}`);
}

export function manifestLocation(exchange: Exchange, repository: RepositoryName, digest: Digest): string {
  return locationOf(exchange, `/v2/${repository}/manifests/${digest}`);
}

/**
 * Where an upload goes on and what it has. The state is in the path, because some clients drop a query. Before
 * the first byte the range is `0-0`, as distribution says it.
 */
export function uploadHeaders(
  exchange: Pick<Exchange, 'baseUrl'>,
  upload: UploadStatus,
): Record<string, string> {
  return {
    location: locationOf(exchange, `/v2/${upload.repository}/blobs/uploads/${upload.id}`),
    range: `0-${Math.max(0, upload.offset - 1)}`,
    'docker-upload-uuid': upload.id,
  };
}

/** What a server may send in all its warnings together, in bytes (OCI dist-spec, "Warnings"). */
const MAX_WARNING_BYTES = 4096;

/**
 * Adds a `Warning` header, which clients show to their users (OCI dist-spec, "Warnings"). What is not printable
 * ASCII becomes a question mark, because the text may quote what a client has sent. One that does not fit into the
 * 4096 bytes that the specification allows is left out.
 */
export function addWarning({ reply }: { readonly reply: FastifyReply }, text: string): void {
  const printable = text.replaceAll(/[^\x20-\x7e]/gu, '?').replaceAll(/["\\]/g, String.raw`\$&`);
  const all = [...warnings(reply.getHeader('warning')), `299 - "${printable}"`];
  if (all.join('').length <= MAX_WARNING_BYTES) reply.header('warning', all);
}

function warnings(header: unknown): string[] {
  return Array.isArray(header) ? header.map(String) : [];
}
