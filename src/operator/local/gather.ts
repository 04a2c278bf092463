import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Registry } from '../../api/v1alpha1/registry.ts';
import type { CertificateFacts, DataByKey, Facts } from '../controllers/registry/facts.ts';
import { certificateNames } from '../controllers/registry/resources/names.ts';
import { inspectCertificate } from '../pki/inspect.ts';
import { ensureCertificates, type StoredCertificates } from '../pki/renewal.ts';
import { writeWhole } from './apply.ts';
import type { Data, Manifests } from './documents.ts';
import type { LocalFolders } from './folders.ts';

/** Domain in the names of Services; nothing resolves it here, but the certificate is the one of a cluster. */
const CLUSTER_DOMAIN = 'cluster.local';

export interface GatherOptions {
  readonly registry: Registry;
  readonly manifests: Manifests;
  readonly folders: LocalFolders;
  readonly version: string;
  readonly now: Date;
  readonly randomBytes: (size: number) => Uint8Array;
}

/**
 * What the pure part of the controller needs to know, on this host: Secrets and ConfigMaps come from the user's
 * file, the certificates from the state folder, where new ones are stored at once.
 */
export async function gatherLocal(options: GatherOptions): Promise<Facts> {
  const { registry, manifests, version, now } = options;
  return {
    now,
    operator: { image: '', version, clusterDomain: CLUSTER_DOMAIN },
    certificate: await certificateFacts(options),
    secrets: byName(manifests.secrets),
    configMaps: byName(manifests.configMaps),
    live: [],
    serves: { serviceMonitor: false },
    pods: [],
    service: { clusterIPs: registry.spec.tls.type === 'None' ? [] : ['127.0.0.1'] },
  };
}

async function certificateFacts(options: GatherOptions): Promise<CertificateFacts | undefined> {
  const { tls } = options.registry.spec;
  if (tls.type === 'None') return undefined;
  if (tls.type === 'SelfSigned') return issuedCertificate(options);
  return userCertificate(options.manifests.secrets.get(tls.secretRef?.name ?? ''));
}

function userCertificate(secret: Data | undefined): CertificateFacts | undefined {
  const certificate = textOf(secret?.get('tls.crt'));
  const key = textOf(secret?.get('tls.key'));
  if (certificate === undefined || key === undefined) return undefined;
  return {
    certificate,
    key,
    caCertificate: textOf(secret?.get('ca.crt')),
    info: inspectCertificate(certificate, key),
  };
}

async function issuedCertificate({
  registry,
  folders,
  now,
  randomBytes,
}: GatherOptions): Promise<CertificateFacts> {
  const stored = await readStored(folders);
  const subject = {
    commonName: registry.metadata.name,
    names: certificateNames(registry, CLUSTER_DOMAIN, []),
  };
  const { authority, leaf, caBundle, renewalTime, changed } = await ensureCertificates(stored, subject, {
    now,
    randomBytes,
  });
  if (changed.authority) await store(folders, 'authority', authority);
  if (changed.leaf) await store(folders, 'leaf', leaf);
  await writeWhole(folders.caFile, Buffer.from(caBundle));
  return {
    certificate: leaf.certificate,
    key: leaf.key,
    caCertificate: caBundle,
    authority,
    info: inspectCertificate(leaf.certificate, leaf.key),
    renewalTime,
  };
}

async function readStored(folders: LocalFolders): Promise<StoredCertificates> {
  const [authority, leaf, caBundle] = await Promise.all([
    readPair(folders, 'authority'),
    readPair(folders, 'leaf'),
    readText(folders.caFile),
  ]);
  return { authority, leaf, caBundle };
}

/** A key and its certificate stand in one file, so that they can never be of two generations. */
async function readPair(
  folders: LocalFolders,
  name: string,
): Promise<{ certificate: string; key: string } | undefined> {
  const text = await readText(join(folders.pki, `${name}.pem`));
  const start = text?.indexOf('-----BEGIN PRIVATE KEY-----') ?? -1;
  if (text === undefined || start < 0) return undefined;
  return { certificate: text.slice(0, start), key: text.slice(start) };
}

function store(
  folders: LocalFolders,
  name: string,
  pair: { certificate: string; key: string },
): Promise<void> {
  return writeWhole(join(folders.pki, `${name}.pem`), Buffer.from(`${pair.certificate}${pair.key}`));
}

async function readText(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
}

function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8');
}

function byName(objects: ReadonlyMap<string, Data>): Record<string, DataByKey | undefined> {
  return Object.fromEntries([...objects].map(([name, data]) => [name, Object.fromEntries(data)]));
}
