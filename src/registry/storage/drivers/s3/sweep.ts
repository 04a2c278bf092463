import type { StorageKey } from '../../driver.ts';
import type { Bucket, UnfinishedUpload } from './bucket.ts';
import { keyBeside, namesBeside } from './upload-state.ts';

/** What a sweep is about. */
interface Sweep {
  readonly prefix: string;
  readonly olderThan: Date;
}

/**
 * Aborts the multipart uploads below a prefix to which nothing was added since a moment: those of copies and of
 * sessions whose process died. They cost money, and no list of objects shows them.
 *
 * @returns how many
 */
export async function sweepUploads(
  bucket: Bucket,
  { prefix, olderThan }: Sweep,
  signal: AbortSignal | undefined,
): Promise<number> {
  let swept = 0;
  for await (const upload of bucket.uploadsBelow(prefix, signal)) {
    if (upload.startedAt >= olderThan) continue;
    const last = await lastUseOf(bucket, upload, signal);
    if (last >= olderThan) continue;
    await bucket.abortUpload(upload.key, upload.uploadId, signal);
    swept += 1;
  }
  return swept;
}

/** When something of the unfinished upload at a key was last stored: a part, or an object beside it. */
export async function lastWriteOf(
  bucket: Bucket,
  key: StorageKey,
  signal: AbortSignal | undefined,
): Promise<Date | undefined> {
  const [complete, beside, uploads] = await Promise.all([
    bucket.head(key, signal),
    lastBeside(bucket, key, signal),
    bucket.listUploads(key, signal),
  ]);
  const parts = await Promise.all(uploads.map(async (upload) => lastPartOf(bucket, upload, signal)));
  return latest([complete?.modifiedAt, beside, ...parts]);
}

/** The tail of a session changes while its parts stay as they are. */
async function lastUseOf(
  bucket: Bucket,
  upload: UnfinishedUpload,
  signal: AbortSignal | undefined,
): Promise<Date> {
  const part = await lastPartOf(bucket, upload, signal);
  return latest([part, await lastBeside(bucket, upload.key, signal)]) ?? part;
}

async function lastPartOf(
  bucket: Bucket,
  { key, uploadId, startedAt }: UnfinishedUpload,
  signal: AbortSignal | undefined,
): Promise<Date> {
  const parts = (await bucket.listParts(key, uploadId, signal)) ?? [];
  return latest([startedAt, ...parts.map(({ modifiedAt }) => modifiedAt)]) ?? startedAt;
}

async function lastBeside(
  bucket: Bucket,
  key: string,
  signal: AbortSignal | undefined,
): Promise<Date | undefined> {
  const names = await namesBeside(bucket, key, signal);
  const heads = await Promise.all(names.map((name) => bucket.head(keyBeside(key, name), signal)));
  return latest(heads.map((head) => head?.modifiedAt));
}

function latest(times: readonly (Date | undefined)[]): Date | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.toSorted((left, right) => left.getTime() - right.getTime()).at(-1);
}
