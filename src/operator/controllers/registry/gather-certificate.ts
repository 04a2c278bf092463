import type { Registry } from '../../../api/v1alpha1/registry.ts';
import { inspectCertificate } from '../../pki/inspect.ts';
import { ensureCertificates, type EnsuredCertificates, type StoredCertificates } from '../../pki/renewal.ts';
import type { CertificateFacts, DataByKey } from './facts.ts';
import { decodeData, type SecretContent } from './gather-data.ts';
import { certificateNames } from './resources/names.ts';
import { TLS_KEYS } from './resources/tls-secret.ts';

/** The Secrets that hold what the operator has issued; undefined where there is none of ours. */
export interface IssuedSecrets {
  readonly ca: SecretContent | undefined;
  readonly tls: SecretContent | undefined;
}

export interface IssueRequest {
  readonly registry: Registry;
  readonly clusterIPs: readonly string[];
  readonly clusterDomain: string;
  readonly now: Date;
  /** What the caches show. */
  readonly cached: IssuedSecrets;
  /** Asks the API server, whose answer is never late. */
  readonly readLive: () => Promise<IssuedSecrets>;
}

/**
 * Issues and renews the certificates of Registries.
 *
 * What it has issued and nobody has stored yet is remembered by UID: a write that fails is tried again with the
 * same certificate instead of a new one each time.
 */
export class CertificateIssuer {
  readonly #randomBytes: (size: number) => Uint8Array;
  readonly #pending = new Map<string, EnsuredCertificates>();

  constructor(randomBytes: (size: number) => Uint8Array) {
    this.#randomBytes = randomBytes;
  }

  /** @returns the certificates that should be stored; those that are, as long as they serve */
  async issue(request: IssueRequest): Promise<CertificateFacts> {
    const id = request.registry.metadata.uid ?? '';
    const cached = await this.#ensure(storedIn(request.cached), request);
    if (isUnchanged(cached)) {
      this.#pending.delete(id);
      return certificateFacts(cached);
    }
    const live = await this.#ensure(storedIn(await request.readLive()), request);
    if (isUnchanged(live)) return certificateFacts(live);
    const pending = this.#pending.get(id);
    const known = pending && (await this.#ensure(pending, request));
    const chosen = known && isUnchanged(known) ? known : live;
    this.#pending.set(id, chosen);
    return certificateFacts(chosen);
  }

  /** Forgets what was issued for a Registry that is gone, or is stored by now. */
  forget(uid: string | undefined): void {
    if (uid !== undefined) this.#pending.delete(uid);
  }

  #ensure(stored: StoredCertificates, request: IssueRequest): Promise<EnsuredCertificates> {
    const { registry, clusterDomain, clusterIPs, now } = request;
    const names = certificateNames(registry, clusterDomain, clusterIPs);
    const subject = { commonName: registry.metadata.name, names };
    return ensureCertificates(stored, subject, { now, randomBytes: this.#randomBytes });
  }
}

/** The certificate in the user's Secret; undefined while a key is missing. */
export function certificateOfSecret(data: DataByKey | undefined): CertificateFacts | undefined {
  const [certificate, key, ca] = [TLS_KEYS.certificate, TLS_KEYS.key, TLS_KEYS.ca].map((name) =>
    text(data, name),
  );
  if (certificate === undefined || key === undefined) return undefined;
  return { certificate, key, caCertificate: ca, info: inspectCertificate(certificate, key) };
}

function certificateFacts(ensured: EnsuredCertificates): CertificateFacts {
  const { leaf, authority, caBundle, renewalTime } = ensured;
  const info = inspectCertificate(leaf.certificate, leaf.key);
  return { ...leaf, caCertificate: caBundle, authority, info, renewalTime };
}

function isUnchanged({ changed }: EnsuredCertificates): boolean {
  return !changed.authority && !changed.leaf;
}

function storedIn({ ca, tls }: IssuedSecrets): StoredCertificates {
  const [authority, leaf] = [decodeData(ca), decodeData(tls)];
  return {
    authority: pairIn(authority),
    leaf: pairIn(leaf),
    // A CA whose Secret somebody has deleted is still the one that clients trust: its leaf serves on until its time.
    caBundle: text(authority, TLS_KEYS.ca) ?? text(leaf, TLS_KEYS.ca),
  };
}

function pairIn(data: DataByKey): StoredCertificates['leaf'] {
  const [certificate, key] = [text(data, TLS_KEYS.certificate), text(data, TLS_KEYS.key)];
  return certificate === undefined || key === undefined ? undefined : { certificate, key };
}

function text(data: DataByKey | undefined, key: string): string | undefined {
  const value = data?.[key];
  return value === undefined || value.length === 0 ? undefined : Buffer.from(value).toString('utf8');
}
