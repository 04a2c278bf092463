import { createPrivateKey, webcrypto } from 'node:crypto';

/** A certificate (or a chain, leaf first) and its private key, both PEM. */
export interface KeyPairPem {
  readonly certificate: string;
  readonly key: string;
}

export const DAY_MS = 86_400_000;

export const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
export const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The certificates of a PEM text, in order, each as PEM of its own. */
export function splitCertificates(pem: string): string[] {
  return (pem.match(CERTIFICATE) ?? []).map((block) => `${block}\n`);
}

/** @returns PKCS #8 as PEM */
export async function keyToPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = await webcrypto.subtle.exportKey('pkcs8', key);
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----', ''].join('\n');
}

/** @throws Error when the text is not an EC P-256 private key */
export function keyFromPem(pem: string): webcrypto.CryptoKey {
  return createPrivateKey(pem).toCryptoKey(KEY_ALGORITHM, false, ['sign']);
}

/** A random serial number of 16 bytes: positive, and never with a leading zero byte (RFC 5280 4.1.2.2). */
export function serialNumber(randomBytes: (size: number) => Uint8Array): string {
  const bytes = Buffer.from(randomBytes(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}
