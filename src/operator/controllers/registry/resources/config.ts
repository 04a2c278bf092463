import type { RegistryConfigInput } from '../../../../api/registry-config.ts';
import type { Registry, RegistrySpec } from '../../../../api/v1alpha1/registry.ts';
import type { Facts } from '../facts.ts';
import type { Placement } from '../placement.ts';
import { certificateNames, hostsOf } from './names.ts';

/** Grace period of the pods when the Registry names none, in seconds. */
const DEFAULT_GRACE_SECONDS = 40;

/** Part of the grace period that is kept for closing down after the requests have ended, in seconds. */
const CLOSING_SECONDS = 15;

/** Most names that the server's configuration takes. */
const MAX_HOSTS = 128;

/** What this program writes of a configuration. */
export type ServerConfig = RegistryConfigInput & {
  readonly http: { readonly hosts: string[]; drainSeconds: number };
};

/**
 * The configuration of the registry server. This function alone makes it, for Pods and for local mode. It holds no
 * defaults of the server: a Pod may run another version, which would refuse a setting that it does not know.
 *
 * @param facts only the certificate, the Service's addresses and the cluster domain are read
 */
export function serverConfig(registry: Registry, facts: Facts, placement: Placement): ServerConfig {
  const { spec } = registry;
  return {
    storage: storageConfig(spec.storage, placement),
    http: {
      listen: placement.listen,
      ...(spec.tls.type === 'None'
        ? {}
        : { tls: { ...tlsFiles(placement), minVersion: spec.tls.minVersion } }),
      hosts: hosts(registry, facts),
      drainSeconds: drainSeconds(gracePeriodSeconds(spec)),
    },
    ops: { listen: placement.opsListen },
    auth: authConfig(spec.auth, placement),
    logging: { level: spec.logging?.level ?? 'Info', requests: spec.logging?.requests ?? 'All' },
  };
}

/** `terminationGracePeriodSeconds` of the pods. */
export function gracePeriodSeconds(spec: RegistrySpec): number {
  return spec.podTemplate?.spec?.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;
}

/** The files of the served certificate. */
export function tlsFiles(placement: Placement): { certificateFile: string; keyFile: string } {
  return { certificateFile: `${placement.tlsDir}/tls.crt`, keyFile: `${placement.tlsDir}/tls.key` };
}

/** The file of the htpasswd reference with this index. */
export function htpasswdFile(placement: Placement, index: number, key: string): string {
  return `${placement.authDir}/${index}/${key}`;
}

function drainSeconds(gracePeriod: number): number {
  return gracePeriod - Math.min(CLOSING_SECONDS, Math.ceil(gracePeriod / 2));
}

function storageConfig(
  storage: RegistrySpec['storage'],
  placement: Placement,
): RegistryConfigInput['storage'] {
  const { s3 } = storage;
  if (s3 === undefined) return { driver: 'filesystem', rootDirectory: placement.dataDir };
  return {
    driver: 's3',
    bucket: s3.bucket,
    ...(s3.prefix === undefined ? {} : { prefix: s3.prefix }),
    ...(s3.region === undefined ? {} : { region: s3.region }),
    ...(s3.endpoint === undefined ? {} : { endpoint: s3.endpoint }),
    addressingStyle: s3.addressingStyle,
    ...(s3.credentialsSecretRef ? { credentialsDirectory: placement.credentialsDir } : {}),
    ...(s3.caBundleRef ? { caBundleFile: `${placement.caBundleDir}/${s3.caBundleRef.key}` } : {}),
  };
}

function authConfig(auth: RegistrySpec['auth'], placement: Placement): RegistryConfigInput['auth'] {
  const htpasswdFiles = auth.basic?.htpasswdSecretRefs.map(({ key }, index) =>
    htpasswdFile(placement, index, key),
  );
  return {
    anonymous: auth.anonymous,
    ...(htpasswdFiles ? { basic: { htpasswdFiles, realm: 'registry' } } : {}),
    anonymousDelete: false,
  };
}

/** Names by which clients know this registry; a user's certificate tells further ones. */
function hosts(registry: Registry, facts: Facts): string[] {
  const names = certificateNames(registry, facts.operator.clusterDomain, facts.service?.clusterIPs ?? []);
  return hostsOf([...names, ...(facts.certificate?.info?.names ?? [])]).slice(0, MAX_HOSTS);
}

/** The configuration file, byte by byte. */
export function configBytes(config: ServerConfig): Uint8Array {
  return Buffer.from(`${JSON.stringify(config, undefined, 2)}\n`);
}
