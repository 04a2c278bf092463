import { createHash } from 'node:crypto';

import { CREDENTIAL_FILES, loadedHash, reloadedFiles } from '../../../../api/loaded-hash.ts';
import { restartSettings } from '../../../../api/registry-config.ts';
import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import { hashOf } from '../../../../shared/json.ts';
import type { Facts } from '../facts.ts';
import type { Placement } from '../placement.ts';
import { configBytes, htpasswdFile, type ServerConfig, tlsFiles } from './config.ts';

/**
 * The files that the configuration names, by path: certificate, key, htpasswd, credentials and the CA bundle.
 * In a Pod the kubelet writes them; local mode writes them itself. What does not exist is left out.
 */
export function referencedFiles(
  registry: Registry,
  facts: Facts,
  placement: Placement,
): Map<string, Uint8Array> {
  const files: [string, Uint8Array | undefined][] = [
    ...certificateFiles(registry, facts, placement),
    ...htpasswdContents(registry, facts, placement),
    ...credentialFiles(registry, facts, placement),
    ...caBundleFiles(registry, facts, placement),
  ];
  return new Map(files.filter((file): file is [string, Uint8Array] => file[1] !== undefined));
}

/** What `/readyz?verbose` of a pod says as soon as it has loaded this configuration and these files. */
export function wantedHash(config: ServerConfig, files: ReadonlyMap<string, Uint8Array>): string {
  const contents = reloadedFiles(config).map((path) => [path, files.get(path) ?? new Uint8Array()] as const);
  return loadedHash(configBytes(config), new Map(contents));
}

/** Changes when something does that a running server cannot take over. */
export function restartHash(config: ServerConfig, files: ReadonlyMap<string, Uint8Array>): string {
  const caFile = config.storage.driver === 's3' ? config.storage.caBundleFile : undefined;
  const caBundle = caFile === undefined ? undefined : files.get(caFile);
  return hashOf({
    settings: restartSettings(config),
    caBundle: caBundle && createHash('sha256').update(caBundle).digest('hex'),
  });
}

type File = [string, Uint8Array | undefined];

function certificateFiles({ spec }: Registry, { certificate }: Facts, placement: Placement): File[] {
  if (spec.tls.type === 'None' || certificate === undefined) return [];
  const { certificateFile, keyFile } = tlsFiles(placement);
  return [
    [certificateFile, Buffer.from(certificate.certificate)],
    [keyFile, Buffer.from(certificate.key)],
  ];
}

function htpasswdContents({ spec }: Registry, { secrets }: Facts, placement: Placement): File[] {
  const references = spec.auth.basic?.htpasswdSecretRefs ?? [];
  return references.map(({ name, key }, index) => [
    htpasswdFile(placement, index, key),
    secrets[name]?.[key],
  ]);
}

function credentialFiles({ spec }: Registry, { secrets }: Facts, placement: Placement): File[] {
  const reference = spec.storage.s3?.credentialsSecretRef;
  if (reference === undefined) return [];
  return CREDENTIAL_FILES.map((key) => [
    `${placement.credentialsDir}/${key}`,
    secrets[reference.name]?.[key],
  ]);
}

function caBundleFiles({ spec }: Registry, facts: Facts, placement: Placement): File[] {
  const reference = spec.storage.s3?.caBundleRef;
  if (reference === undefined) return [];
  const source = reference.kind === 'Secret' ? facts.secrets : facts.configMaps;
  return [[`${placement.caBundleDir}/${reference.key}`, source[reference.name]?.[reference.key]]];
}
