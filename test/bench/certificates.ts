import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { PemConverter, SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509';

/** Paths of a certificate and its key. */
export interface CertificateFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** What a server's key is. */
export type KeyKind = 'ecdsa' | 'rsa';

const ALGORITHMS = {
  ecdsa: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  rsa: {
    name: 'RSASSA-PKCS1-v1_5',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: 'SHA-256',
  },
} as const;
const DAY_MS = 86_400_000;

/** Makes each kind of certificate when it is first asked for. */
export function certificateCache(folder: string): (kind: KeyKind) => Promise<CertificateFiles> {
  const made = new Map<KeyKind, Promise<CertificateFiles>>();
  return (kind) => {
    const certificate = made.get(kind) ?? createCertificate(folder, kind);
    made.set(kind, certificate);
    return certificate;
  };
}

/** Makes a certificate of 127.0.0.1 that signs itself and is valid for two days. */
async function createCertificate(folder: string, kind: KeyKind): Promise<CertificateFiles> {
  const algorithm = ALGORITHMS[kind];
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      name: 'CN=127.0.0.1',
      keys,
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + DAY_MS),
      signingAlgorithm: algorithm,
      extensions: [new SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }])],
    },
    webcrypto,
  );
  const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  const files = { certificateFile: join(folder, `${kind}.crt`), keyFile: join(folder, `${kind}.key`) };
  await writeFile(files.certificateFile, certificate.toString('pem'));
  await writeFile(files.keyFile, PemConverter.encode(key, 'PRIVATE KEY'), { mode: 0o600 });
  return files;
}
