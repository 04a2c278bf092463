import 'reflect-metadata';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { isIPv6, SocketAddress } from 'node:net';

import { SubjectAlternativeNameExtension, X509Certificate as ParsedCertificate } from '@peculiar/x509';

import { splitCertificates } from './pem.ts';

/** What can be read from a certificate and its key. */
export interface CertificateInfo {
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** DNS names and IP addresses of the leaf. */
  readonly names: readonly string[];
  /** Of the leaf's DER bytes, 64 lower case hexadecimal digits. */
  readonly sha256Fingerprint: string;
  readonly keyMatches: boolean;
}

/**
 * Reads the first certificate of a chain and compares its key.
 *
 * @returns undefined when the text holds no certificate that can be parsed
 */
export function inspectCertificate(chain: string, key: string): CertificateInfo | undefined {
  const leaf = parseCertificate(splitCertificates(chain)[0]);
  if (leaf === undefined) return undefined;
  return {
    notBefore: leaf.validFromDate,
    notAfter: leaf.validToDate,
    names: namesOf(leaf),
    sha256Fingerprint: leaf.fingerprint256.replaceAll(':', '').toLowerCase(),
    keyMatches: matches(leaf, key),
  };
}

/** Whether one of the CAs in the bundle is valid at `now` and has signed the first certificate of the chain. */
export function isSignedByOneOf(chain: string, bundle: string, now: Date): boolean {
  const leaf = parseCertificate(splitCertificates(chain)[0]);
  if (leaf === undefined) return false;
  return unexpired(bundle, now)
    .map(parseCertificate)
    .some((ca) => ca !== undefined && ca.ca && leaf.checkIssued(ca) && leaf.verify(ca.publicKey));
}

/** The certificates of a bundle that can be parsed and have not ended at `now`. */
export function unexpired(bundle: string, now: Date): string[] {
  return splitCertificates(bundle).filter((pem) => (parseCertificate(pem)?.validToDate ?? now) > now);
}

/** Whether two lists name the same hosts, in whatever order and however IPv6 addresses are written. */
export function sameNames(a: readonly string[], b: readonly string[]): boolean {
  const left = new Set(a.map(canonical));
  const right = new Set(b.map(canonical));
  return left.symmetricDifference(right).size === 0;
}

function parseCertificate(pem: string | undefined): X509Certificate | undefined {
  if (pem === undefined) return undefined;
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function matches(leaf: X509Certificate, key: string): boolean {
  try {
    return leaf.checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

function namesOf(leaf: X509Certificate): string[] {
  const extension = new ParsedCertificate(leaf.raw).getExtension(SubjectAlternativeNameExtension);
  const names = extension?.names.toJSON() ?? [];
  return names.filter(({ type }) => type === 'dns' || type === 'ip').map(({ value }) => canonical(value));
}

function canonical(name: string): string {
  return isIPv6(name) ? new SocketAddress({ address: name, family: 'ipv6' }).address : name.toLowerCase();
}
