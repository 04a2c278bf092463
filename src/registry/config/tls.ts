import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';

import { AppError, errorMessage } from '../../shared/errors.ts';

/** A certificate that can be served. */
export interface LoadedCertificate {
  /** PEM chain, leaf first. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
  /** Of the leaf: 64 lower case hexadecimal digits. */
  readonly sha256Fingerprint: string;
  /** End of the validity of the leaf. */
  readonly notAfter: Date;
}

/** A certificate or key that cannot be used; the message has nothing of the key. */
class CertificateInvalid extends AppError {
  override readonly name = 'CertificateInvalid';

  constructor(message: string, cause?: unknown) {
    super('CERTIFICATE_INVALID', message, { cause });
  }
}

/**
 * Reads a certificate chain and its key.
 *
 * @throws CertificateInvalid when one of them cannot be read or they do not belong together
 */
export function loadCertificate(certificate: Uint8Array, key: Uint8Array): LoadedCertificate {
  const leaf = parseLeaf(certificate);
  if (!leaf.checkPrivateKey(parseKey(key))) {
    throw new CertificateInvalid('the key does not belong to the certificate');
  }
  return {
    certificate: textOf(certificate),
    key: textOf(key),
    sha256Fingerprint: leaf.fingerprint256.replaceAll(':', '').toLowerCase(),
    notAfter: new Date(leaf.validTo),
  };
}

function parseLeaf(certificate: Uint8Array): X509Certificate {
  if (certificate.length === 0) throw new CertificateInvalid('the certificate is missing or empty');
  try {
    return new X509Certificate(certificate);
  } catch (error) {
    throw new CertificateInvalid(`the certificate cannot be read: ${errorMessage(error)}`, error);
  }
}

function parseKey(key: Uint8Array): KeyObject {
  if (key.length === 0) throw new CertificateInvalid('the key is missing or empty');
  try {
    return createPrivateKey(textOf(key));
  } catch {
    // The error of the parser is not passed on: it may quote what it has read.
    throw new CertificateInvalid('the key cannot be read; it must be PEM without a passphrase');
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
