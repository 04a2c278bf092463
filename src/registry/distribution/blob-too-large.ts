import { DistributionError } from './errors.ts';

/** 413: a blob would be longer than `limits.maxBlobBytes`. */
export class BlobTooLarge extends DistributionError {
  override readonly name = 'BlobTooLarge';
  /** Whether bytes were taken before it was known. */
  readonly began: boolean;

  /** @param limit in bytes */
  constructor(limit: number, { began }: { readonly began: boolean }) {
    super('SIZE_INVALID', {
      status: 413,
      message: `a blob may have at most ${limit} bytes (limits.maxBlobBytes)`,
      detail: { limit },
    });
    this.began = began;
  }
}

/**
 * Refuses a body before it is read when it is announced to be too long.
 *
 * @param offset bytes that the upload has
 * @throws BlobTooLarge
 */
export function assertFits(
  offset: number,
  { length = 0, maxBlobBytes }: { readonly length?: number; readonly maxBlobBytes?: number | undefined },
): void {
  if (maxBlobBytes !== undefined && offset + length > maxBlobBytes) {
    throw new BlobTooLarge(maxBlobBytes, { began: false });
  }
}
