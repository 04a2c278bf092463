import { createAuthority, type IssueOptions } from './authority.ts';
import { issueCertificate, type LeafSubject } from './certificate.ts';
import { inspectCertificate, isSignedByOneOf, sameNames, unexpired } from './inspect.ts';
import { DAY_MS, type KeyPairPem, splitCertificates } from './pem.ts';

/**
 * A leaf is replaced this many days before its end. A CA is replaced so early that every leaf that it has signed
 * ends, and clients have long seen its successor in the bundle, before it does.
 */
const RENEW_LEAF_DAYS = 30;
const RENEW_CA_DAYS = 365;

/** What earlier calls have made and the caller has stored. */
export interface StoredCertificates {
  readonly authority?: KeyPairPem | undefined;
  /** PEM bundle of the CAs that clients trust. */
  readonly caBundle?: string | undefined;
  readonly leaf?: KeyPairPem | undefined;
}

export interface EnsuredCertificates {
  /** The CA that signs from now on. */
  readonly authority: KeyPairPem;
  /** The CA that signs, then its predecessors that are still valid. */
  readonly caBundle: string;
  readonly leaf: KeyPairPem;
  /** When the leaf is replaced. */
  readonly renewalTime: Date;
  readonly changed: { readonly authority: boolean; readonly leaf: boolean };
}

/**
 * Keeps what is stored as long as it serves, and makes anew only what does not.
 *
 * A new CA leaves a leaf of its predecessor in place: clients trust both meanwhile, and the leaf moves over
 * when its own time has come.
 */
export async function ensureCertificates(
  stored: StoredCertificates,
  subject: LeafSubject,
  options: IssueOptions,
): Promise<EnsuredCertificates> {
  const keepAuthority = stored.authority !== undefined && isUsableAuthority(stored.authority, options.now);
  const authority = keepAuthority
    ? stored.authority
    : await createAuthority(`${subject.commonName} CA`, options);
  const caBundle = bundleOf(authority.certificate, stored, options.now);
  const keepLeaf = stored.leaf !== undefined && isUsableLeaf(stored.leaf, caBundle, subject, options.now);
  const leaf = keepLeaf ? stored.leaf : await issueCertificate(authority, subject, options);
  return {
    authority,
    caBundle,
    leaf,
    renewalTime: renewalTimeOf(leaf, options.now),
    changed: { authority: !keepAuthority, leaf: !keepLeaf },
  };
}

function isUsableAuthority(authority: KeyPairPem, now: Date): boolean {
  const info = inspectCertificate(authority.certificate, authority.key);
  if (info === undefined || !info.keyMatches) return false;
  const isCa = isSignedByOneOf(authority.certificate, authority.certificate, now);
  return isCa && now.getTime() < info.notAfter.getTime() - RENEW_CA_DAYS * DAY_MS;
}

function isUsableLeaf(leaf: KeyPairPem, caBundle: string, subject: LeafSubject, now: Date): boolean {
  const info = inspectCertificate(leaf.certificate, leaf.key);
  if (info === undefined || !info.keyMatches || !sameNames(info.names, subject.names)) return false;
  return isSignedByOneOf(leaf.certificate, caBundle, now) && now < renewalTimeOf(leaf, now);
}

function bundleOf(current: string, stored: StoredCertificates, now: Date): string {
  const earlier = unexpired(`${stored.authority?.certificate ?? ''}${stored.caBundle ?? ''}`, now);
  return [...new Set([...splitCertificates(current), ...earlier])].join('');
}

function renewalTimeOf(leaf: KeyPairPem, now: Date): Date {
  const end = inspectCertificate(leaf.certificate, leaf.key)?.notAfter ?? now;
  return new Date(end.getTime() - RENEW_LEAF_DAYS * DAY_MS);
}
