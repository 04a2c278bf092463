import { createHash } from 'node:crypto';

import type { StorageKey, WriteToken } from '../../driver.ts';
import type { Bucket, ObjectHead, UploadedPart } from './bucket.ts';
import { failure } from './failure.ts';
import { partAt } from './part-layout.ts';

/** `~` is in no key of the registry: what comes after it stands beside an upload, and is in no listing. */
const BESIDE = '~';
/** Names the object with bytes that are too few for a part. */
const TAIL = 'tail';
/** Metadata of that object: the number of the part that it begins, and which parts were before it. */
const TAIL_PART = 'part';
const TAIL_PARTS = 'parts';
/** Objects beside one upload that are removed with it; more are left to the sweep. */
const MAX_BESIDE = 1000;

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
  /** Keys of objects beside the upload that are of no use any more. */
  readonly useless: readonly string[];
}

interface StoredBytes {
  readonly size: number;
  readonly etag: string;
}

export const EMPTY_STATE: UploadState = {
  uploadId: undefined,
  parts: [],
  tail: undefined,
  complete: undefined,
  useless: [],
};

/** The key of an object that stands beside an upload. */
export function keyBeside(key: string, name: string): string {
  return key + BESIDE + name;
}

export function tailKey(key: StorageKey): string {
  return keyBeside(key, TAIL);
}

/** @param parts those before the tail; bytes of different writers never become one upload */
export function tailMetadata(part: number, parts: readonly UploadedPart[]): Record<string, string> {
  return { [TAIL_PART]: String(part), [TAIL_PARTS]: fingerprint(parts) };
}

/** Names of everything that stands beside an upload. */
export async function namesBeside(
  bucket: Bucket,
  key: string,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const page = { after: '', limit: MAX_BESIDE, delimiter: undefined, token: undefined };
  return (await bucket.list(key + BESIDE, page, signal)).names;
}

/** Bytes that need not be sent again. */
export function durableOffset({ parts, tail, complete }: UploadState): number {
  return complete?.size ?? partAt(parts.length + 1).start + (tail?.size ?? 0);
}

/** Describes a state, so that {@link findState} can tell whether anybody has written since. */
export function tokenOf(state: UploadState): WriteToken {
  return [durableOffset(state), state.uploadId ?? '', stateFingerprint(state)].join(' ');
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
  const upload = { bucket, key, signal };
  if (seen !== undefined) {
    const expected = await stateOf(upload, uploadId === '' ? [] : [uploadId ?? ''], [TAIL]);
    if (expected !== undefined && stateFingerprint(expected) === seen) return expected;
  }
  const [uploads, beside] = await Promise.all([
    bucket.listUploads(key, signal),
    namesBeside(bucket, key, signal),
  ]);
  const ids = uploads.map((found) => found.uploadId);
  const found = await stateOf(upload, ids, beside);
  if (found !== undefined && seen !== undefined && String(durableOffset(found)) === offset) {
    throw failure('SESSION_BUSY', 'resumeWrite', `another writer changed ${key}`);
  }
  return found;
}

interface Upload {
  readonly bucket: Bucket;
  readonly key: StorageKey;
  readonly signal: AbortSignal | undefined;
}

/** @param beside names of objects that may stand beside the upload */
async function stateOf(
  { bucket, key, signal }: Upload,
  uploadIds: readonly string[],
  beside: readonly string[],
): Promise<UploadState | undefined> {
  const [tail, ...uploads] = await Promise.all([
    beside.includes(TAIL) ? bucket.head(tailKey(key), signal) : undefined,
    ...uploadIds.map(async (uploadId) => ({
      uploadId,
      parts: wholeParts((await bucket.listParts(key, uploadId, signal)) ?? []),
    })),
  ]);
  // Two writers that began at the same time have an upload each; the one that got further counts.
  const [best] = uploads.toSorted((left, right) => right.parts.length - left.parts.length);
  const parts = best?.parts ?? [];
  const useless = beside.filter((name) => name !== TAIL).map((name) => keyBeside(key, name));
  if (tail !== undefined && fits(tail, parts)) {
    return { uploadId: best?.uploadId, parts, tail, complete: undefined, useless };
  }
  const found = { ...EMPTY_STATE, useless: tail === undefined ? useless : [...useless, tailKey(key)] };
  if (best !== undefined) return { ...found, uploadId: best.uploadId, parts };
  const complete = await bucket.head(key, signal);
  if (complete !== undefined) return { ...found, complete };
  // Nothing to go on with, but something that has to be removed.
  return found.useless.length > 0 ? found : undefined;
}

/** Whether the tail was stored by who stored the parts. */
function fits({ metadata }: ObjectHead, parts: readonly UploadedPart[]): boolean {
  return metadata[TAIL_PART] === String(parts.length + 1) && metadata[TAIL_PARTS] === fingerprint(parts);
}

/** A gap or a short part is what a crash leaves; what is behind it is sent again. */
function wholeParts(listed: readonly UploadedPart[]): UploadedPart[] {
  const end = listed.findIndex(
    ({ number, size }, index) => number !== index + 1 || size !== partAt(number).size,
  );
  return end < 0 ? [...listed] : listed.slice(0, end);
}

function stateFingerprint({ parts, tail, complete }: UploadState): string {
  return fingerprint([...parts, tail, complete]);
}

function fingerprint(stored: readonly ({ readonly etag: string } | undefined)[]): string {
  const hash = createHash('sha256');
  for (const object of stored) hash.update(`${object?.etag.replaceAll('"', '') ?? ''}\n`);
  return hash.digest('hex');
}
