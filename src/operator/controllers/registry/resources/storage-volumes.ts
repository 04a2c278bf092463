import { posix } from 'node:path';

import type { Registry, RegistrySpec } from '../../../../api/v1alpha1/registry.ts';
import type { Placement } from '../placement.ts';
import { CONFIG_KEY } from './config-secret.ts';
import { objectNames } from './names.ts';
import { claimName } from './pvc.ts';
import { TLS_KEYS } from './tls-secret.ts';

/** A volume of the pods and where the registry container sees it. */
export interface MountedVolume {
  readonly volume: { readonly name: string; readonly [source: string]: unknown };
  readonly mount: {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
    readonly subPath?: string;
  };
}

/** Secrets are readable for the pod's group and nobody else. */
const SECRET_MODE = 0o440;

/**
 * All volumes of the pods. Secrets and ConfigMaps are mounted as folders, never by `subPath`: the kubelet does
 * not update a file that is mounted alone.
 */
export function podVolumes(registry: Registry, placement: Placement): MountedVolume[] {
  const { spec, metadata } = registry;
  const configDir = posix.dirname(placement.configFile);
  return [
    secretVolume('config', objectNames(metadata.name).config, configDir, [CONFIG_KEY]),
    ...tlsVolumes(registry, placement),
    ...(spec.auth.basic?.htpasswdSecretRefs ?? []).map(({ name, key }, index) =>
      secretVolume(`auth-${index}`, name, `${placement.authDir}/${index}`, [key]),
    ),
    ...s3Volumes(spec.storage.s3, placement),
    ...contentVolumes(registry, placement),
  ];
}

function tlsVolumes({ spec, metadata }: Registry, placement: Placement): MountedVolume[] {
  if (spec.tls.type === 'None') return [];
  const secretName = spec.tls.secretRef?.name ?? objectNames(metadata.name).tls;
  return [secretVolume('tls', secretName, placement.tlsDir, [TLS_KEYS.certificate, TLS_KEYS.key])];
}

function s3Volumes(s3: RegistrySpec['storage']['s3'], placement: Placement): MountedVolume[] {
  if (s3 === undefined) return [];
  const { credentialsSecretRef: credentials, caBundleRef: ca } = s3;
  return [
    ...(credentials ? [secretVolume('credentials', credentials.name, placement.credentialsDir)] : []),
    ...(ca?.kind === 'Secret' ? [secretVolume('ca-bundle', ca.name, placement.caBundleDir, [ca.key])] : []),
    ...(ca?.kind === 'ConfigMap'
      ? [configMapVolume('ca-bundle', ca.name, placement.caBundleDir, ca.key)]
      : []),
  ];
}

function contentVolumes(registry: Registry, placement: Placement): MountedVolume[] {
  const { filesystem, ephemeral, type } = registry.spec.storage;
  if (type === 'S3') return [emptyDirVolume('spool', placement.spoolDir)];
  if (type === 'Ephemeral') return [emptyDirVolume('data', placement.dataDir, ephemeral?.sizeLimit)];
  const subPath = filesystem?.existingClaim?.subPath;
  return [
    {
      volume: { name: 'data', persistentVolumeClaim: { claimName: claimName(registry) } },
      mount: { name: 'data', mountPath: placement.dataDir, ...(subPath === undefined ? {} : { subPath }) },
    },
  ];
}

/** @param keys the keys that become files; all of them when left out */
function secretVolume(name: string, secretName: string, mountPath: string, keys?: string[]): MountedVolume {
  const items = keys?.map((key) => ({ key, path: key }));
  return {
    volume: { name, secret: { secretName, defaultMode: SECRET_MODE, ...(items ? { items } : {}) } },
    mount: { name, mountPath, readOnly: true },
  };
}

function configMapVolume(name: string, configMap: string, mountPath: string, key: string): MountedVolume {
  const items = [{ key, path: key }];
  return {
    volume: { name, configMap: { name: configMap, defaultMode: SECRET_MODE, items } },
    mount: { name, mountPath, readOnly: true },
  };
}

function emptyDirVolume(name: string, mountPath: string, sizeLimit?: string | number): MountedVolume {
  const emptyDir = sizeLimit === undefined ? {} : { sizeLimit: String(sizeLimit) };
  return { volume: { name, emptyDir }, mount: { name, mountPath } };
}
