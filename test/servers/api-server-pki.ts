import 'reflect-metadata';
import { generateKeyPairSync, webcrypto } from 'node:crypto';

import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** Certificates and keys of an API server, all PEM. */
export interface ApiServerPki {
  readonly ca: string;
  readonly server: PemPair;
  /** Client of the group `system:masters`. */
  readonly admin: PemPair;
  /** Key that signs tokens of ServiceAccounts. */
  readonly serviceAccountKey: string;
}

export interface PemPair {
  readonly certificate: string;
  readonly key: string;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY_MS = 86_400_000;

/** Makes an authority and what it signs; valid for a day. */
export async function createApiServerPki(): Promise<ApiServerPki> {
  const authority = await createKeys();
  const name = 'CN=test-api-server-ca';
  const ca = await X509CertificateGenerator.createSelfSigned(
    {
      name,
      keys: authority,
      ...validity(),
      signingAlgorithm: ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(true, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    },
    webcrypto,
  );
  const issue = (subject: string) => issueCertificate(subject, name, authority.privateKey);
  return {
    ca: ca.toString('pem'),
    server: await issue('CN=kube-apiserver'),
    admin: await issue('O=system:masters, CN=admin'),
    serviceAccountKey: createServiceAccountKey(),
  };
}

async function issueCertificate(
  subject: string,
  issuer: string,
  signingKey: webcrypto.CryptoKey,
): Promise<PemPair> {
  const keys = await createKeys();
  const certificate = await X509CertificateGenerator.create(
    {
      subject,
      issuer,
      publicKey: keys.publicKey,
      signingKey,
      ...validity(),
      signingAlgorithm: ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        new SubjectAlternativeNameExtension([
          { type: 'ip', value: '127.0.0.1' },
          { type: 'dns', value: 'localhost' },
        ]),
      ],
    },
    webcrypto,
  );
  return { certificate: certificate.toString('pem'), key: await exportKey(keys.privateKey) };
}

/** kube-apiserver reads its public half from the older SEC1 form only. */
function createServiceAccountKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'sec1', format: 'pem' });
}

function createKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

function validity(): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + DAY_MS) };
}
