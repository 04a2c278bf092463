import { createHash } from 'node:crypto';

import type { StorageKey, WriteToken } from '../../driver.ts';
import type { Bucket, UploadedPart } from './bucket.ts';
import { failure } from './failure.ts';
import { partAt } from './part-layout.ts';

/** Ends the key of the object with bytes that are too few for a part; `~` is in no key of the registry. */
const TAIL_SUFFIX = '~tail';
/** Metadata of that object: the number of the part that it begins. */
const TAIL_PART = 'part';

/** What of an unfinished upload is durable. */
export interface UploadState {
  /** The multipart upload, once there was a whole part. */
  readonly uploadId: string | undefined;
  /** Whole parts without a gap, from the first. */
  readonly parts: readonly UploadedPart[];
  /** The beginning of the part after them. */
  readonly tail: StoredBytes | undefined;
  /** Set when a commit got as far as the complete object, but not yet to the final key. */
  readonly complete: StoredBytes | undefined;
}

interface StoredBytes {
  readonly size: number;
  readonly etag: string;
}

export function tailKey(key: StorageKey): string {
  return key + TAIL_SUFFIX;
}

export function tailMetadata(part: number): Record<string, string> {
  return { [TAIL_PART]: String(part) };
}

/** Bytes that need not be sent again. */
export function durableOffset({ parts, tail, complete }: UploadState): number {
  return complete?.size ?? partAt(parts.length + 1).start + (tail?.size ?? 0);
}

/** Describes a state, so that {@link findState} can tell whether anybody has written since. */
export function tokenOf(state: UploadState): WriteToken {
  return [durableOffset(state), state.uploadId ?? '', fingerprint(state)].join(' ');
}

/**
 * Finds what is durable. The token only saves requests: what the back end says counts.
 *
 * @returns undefined when nothing is left
 * @throws StorageError SESSION_BUSY when another writer put other bytes in place of those of the token
 */
export async function findState(
  bucket: Bucket,
  key: StorageKey,
  token: WriteToken | undefined,
  signal?: AbortSignal,
): Promise<UploadState | undefined> {
  const [offset, uploadId, seen] = token?.split(' ') ?? [];
  if (seen !== undefined) {
    const expected = await stateOf(bucket, key, uploadId === '' ? [] : [uploadId ?? ''], signal);
    if (expected !== undefined && fingerprint(expected) === seen) return expected;
  }
  const found = await stateOf(bucket, key, await bucket.listUploads(key, signal), signal);
  if (found !== undefined && seen !== undefined && String(durableOffset(found)) === offset) {
    throw failure('SESSION_BUSY', 'resumeWrite', `another writer changed ${key}`);
  }
  return found;
}

async function stateOf(
  bucket: Bucket,
  key: StorageKey,
  uploadIds: readonly string[],
  signal: AbortSignal | undefined,
): Promise<UploadState | undefined> {
  const [tail, ...uploads] = await Promise.all([
    bucket.head(tailKey(key), signal),
    ...uploadIds.map(async (uploadId) => ({
      uploadId,
      parts: wholeParts((await bucket.listParts(key, uploadId, signal)) ?? []),
    })),
  ]);
  // Two writers that began at the same time have an upload each; the one that got further counts.
  const [best] = uploads.toSorted((left, right) => right.parts.length - left.parts.length);
  const parts = best?.parts ?? [];
  const fits = tail !== undefined && tail.metadata[TAIL_PART] === String(parts.length + 1);
  if (best === undefined && !fits) {
    const complete = await bucket.head(key, signal);
    return complete && { uploadId: undefined, parts: [], tail: undefined, complete };
  }
  return { uploadId: best?.uploadId, parts, tail: fits ? tail : undefined, complete: undefined };
}

/** A gap or a short part is what a crash leaves; what is behind it is sent again. */
function wholeParts(listed: readonly UploadedPart[]): UploadedPart[] {
  const end = listed.findIndex(
    ({ number, size }, index) => number !== index + 1 || size !== partAt(number).size,
  );
  return end < 0 ? [...listed] : listed.slice(0, end);
}

function fingerprint({ parts, tail, complete }: UploadState): string {
  const hash = createHash('sha256');
  for (const stored of [...parts, tail, complete]) hash.update(`${stored?.etag ?? ''}\n`);
  return hash.digest('hex');
}
