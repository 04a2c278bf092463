import type { Bucket, CopySource, UploadedPart } from './bucket.ts';

const MIB = 1 << 20;
/** Up to here one request is at least as fast as many. */
const SINGLE_COPY_BYTES = 64 * MIB;
const COPY_PART_BYTES = 64 * MIB;
const MAX_PARTS = 10_000;
/** A server copies parts at the same time, which a single copy of a large object does not. */
const PARALLEL_PARTS = 16;

/** Copies an object of any size inside of the bucket; the target is visible only as a whole. */
export async function copyObject(
  bucket: Bucket,
  source: CopySource & { readonly size: number },
  target: string,
  signal?: AbortSignal,
): Promise<void> {
  if (source.size <= SINGLE_COPY_BYTES) return bucket.copy(source, target, signal);
  const uploadId = await bucket.createUpload(target, signal);
  try {
    const parts = await copyParts(bucket, source, { key: target, uploadId }, signal);
    await bucket.completeUpload(target, uploadId, parts, signal);
  } catch (error) {
    // The first error counts; a bucket rule for unfinished uploads takes what cannot be removed now.
    await bucket.abortUpload(target, uploadId).catch(() => undefined);
    throw error;
  }
  return undefined;
}

async function copyParts(
  bucket: Bucket,
  source: CopySource & { readonly size: number },
  target: { readonly key: string; readonly uploadId: string },
  signal: AbortSignal | undefined,
): Promise<UploadedPart[]> {
  const partBytes = Math.max(COPY_PART_BYTES, Math.ceil(source.size / MAX_PARTS / MIB) * MIB);
  const parts: UploadedPart[] = [];
  let next = 0;
  const worker = async () => {
    for (let index = next++; index * partBytes < source.size; index = next++) {
      const start = index * partBytes;
      const end = Math.min(start + partBytes, source.size) - 1;
      const range = { start, end };
      const part = { ...target, number: index + 1 };
      parts[index] = await bucket.copyPart(part, { ...source, range }, end - start + 1, signal);
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: PARALLEL_PARTS }, worker));
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return parts;
}
