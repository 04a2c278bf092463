import 'reflect-metadata';
import { webcrypto } from 'node:crypto';

import {
  BasicConstraintsExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

import { DAY_MS, KEY_ALGORITHM, type KeyPairPem, keyToPem, serialNumber, SIGNATURE } from './pem.ts';

/** How long a new CA is valid. */
const CA_DAYS = 3650;

/** Certificates begin to be valid this long before they are made, for clients whose clock is late. */
export const BACKDATE_MS = 5 * 60_000;

/** What is needed to make a certificate, besides its content. */
export interface IssueOptions {
  readonly now: Date;
  /** Source of the serial number. */
  readonly randomBytes: (size: number) => Uint8Array;
}

/**
 * Makes a CA with a new EC P-256 key, valid for ten years, which may sign leaves only.
 *
 * @param commonName at most 64 characters
 */
export async function createAuthority(commonName: string, options: IssueOptions): Promise<KeyPairPem> {
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      name: [{ CN: [commonName] }],
      keys,
      serialNumber: serialNumber(options.randomBytes),
      notBefore: new Date(options.now.getTime() - BACKDATE_MS),
      notAfter: new Date(options.now.getTime() + CA_DAYS * DAY_MS),
      signingAlgorithm: SIGNATURE,
      extensions: await authorityExtensions(keys.publicKey),
    },
    webcrypto,
  );
  return { certificate: `${certificate.toString('pem')}\n`, key: await keyToPem(keys.privateKey) };
}

async function authorityExtensions(publicKey: webcrypto.CryptoKey): Promise<Extension[]> {
  return [
    new BasicConstraintsExtension(true, 0, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    await SubjectKeyIdentifierExtension.create(publicKey, false, webcrypto),
  ];
}
