import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { isIP } from 'node:net';

import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

import { BACKDATE_MS, type IssueOptions } from './authority.ts';
import {
  DAY_MS,
  KEY_ALGORITHM,
  keyFromPem,
  type KeyPairPem,
  keyToPem,
  serialNumber,
  SIGNATURE,
} from './pem.ts';

/** How long a new leaf is valid. */
const LEAF_DAYS = 90;

/** What a leaf says. */
export interface LeafSubject {
  /** At most 64 characters. */
  readonly commonName: string;
  /** DNS names and IP addresses; at least one. */
  readonly names: readonly string[];
}

/**
 * Makes a server certificate with a new EC P-256 key, valid for 90 days but never longer than its CA.
 *
 * @throws Error when the authority's key cannot be read
 */
export async function issueCertificate(
  authority: KeyPairPem,
  subject: LeafSubject,
  options: IssueOptions,
): Promise<KeyPairPem> {
  const issuer = new X509Certificate(authority.certificate);
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
  const end = Math.min(options.now.getTime() + LEAF_DAYS * DAY_MS, issuer.notAfter.getTime());
  const certificate = await X509CertificateGenerator.create(
    {
      subject: [{ CN: [subject.commonName] }],
      issuer: issuer.subjectName.toJSON(),
      publicKey: keys.publicKey,
      signingKey: keyFromPem(authority.key),
      serialNumber: serialNumber(options.randomBytes),
      notBefore: new Date(options.now.getTime() - BACKDATE_MS),
      notAfter: new Date(end),
      signingAlgorithm: SIGNATURE,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension(subject.names.map(generalName)),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
        await AuthorityKeyIdentifierExtension.create(issuer, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return { certificate: `${certificate.toString('pem')}\n`, key: await keyToPem(keys.privateKey) };
}

function generalName(name: string): { type: 'dns' | 'ip'; value: string } {
  return { type: isIP(name) === 0 ? 'dns' : 'ip', value: name };
}
