import { DistributionError } from './errors.ts';

declare const digest: unique symbol;
/** `sha256:` and 64, or `sha512:` and 128 lower-case hexadecimal digits. Made only by {@link parseDigest}. */
export type Digest = string & { readonly [digest]: true };

export type DigestAlgorithm = 'sha256' | 'sha512';

const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** True for the canonical text of a digest of a supported algorithm. */
export function isDigest(text: string): text is Digest {
  return DIGEST.test(text);
}

/**
 * @param text as in a URL or a descriptor (OCI image-spec "Digests")
 * @throws DistributionError DIGEST_INVALID for another algorithm, a wrong length or upper case
 */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new DistributionError('DIGEST_INVALID', {
    message: 'digest must be sha256 with 64, or sha512 with 128 lower-case hexadecimal digits',
    detail: { digest: text.slice(0, 256) },
  });
}

export function algorithmOf(value: Digest): DigestAlgorithm {
  return value.startsWith('sha512:') ? 'sha512' : 'sha256';
}

/** The hexadecimal digits, without algorithm and colon. */
export function hexOf(value: Digest): string {
  return value.slice(value.indexOf(':') + 1);
}

/** @returns undefined for a name that no supported algorithm has */
export function parseDigestAlgorithm(text: string): DigestAlgorithm | undefined {
  return text === 'sha256' || text === 'sha512' ? text : undefined;
}
