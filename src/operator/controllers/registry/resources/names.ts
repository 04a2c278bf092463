import { PORTS } from '../../../../api/group.ts';
import type { Registry } from '../../../../api/v1alpha1/registry.ts';

/** Names of the objects of one Registry; the ServiceAccount, Service, Deployment and others use `base`. */
export interface ObjectNames {
  readonly base: string;
  /** Secret with the server's configuration. */
  readonly config: string;
  /** Secret with the certificate that the operator issued. */
  readonly tls: string;
  /** Secret with the operator's CA, and ConfigMap with its public part. */
  readonly ca: string;
  /** The claim that the operator creates. */
  readonly data: string;
}

/** @param name `metadata.name` of the Registry */
export function objectNames(name: string): ObjectNames {
  return {
    base: name,
    config: `${name}-config`,
    tls: `${name}-tls`,
    ca: `${name}-ca`,
    data: `${name}-data`,
  };
}

/** `host:port` for image names inside the cluster. */
export function endpoint(registry: Registry): string {
  return `${registry.metadata.name}.${registry.metadata.namespace}.svc:${PORTS.registry}`;
}

/** Host names of the Service, short to long. */
function serviceNames(registry: Registry, clusterDomain: string): string[] {
  const { name, namespace } = registry.metadata;
  return [
    name,
    `${name}.${namespace}`,
    `${name}.${namespace}.svc`,
    `${name}.${namespace}.svc.${clusterDomain}`,
  ];
}

/**
 * Names of the certificate that the operator issues: DNS names and IP addresses, without duplicates.
 *
 * @param clusterIPs nodes pull by the Service's addresses, since they do not resolve its names
 */
export function certificateNames(
  registry: Registry,
  clusterDomain: string,
  clusterIPs: readonly string[],
): string[] {
  const names = [
    ...serviceNames(registry, clusterDomain),
    ...clusterIPs,
    'localhost',
    '127.0.0.1',
    '::1',
    ...(registry.spec.tls.dnsNames ?? []),
  ];
  return [...new Set(names)];
}

/** Every way to write the names in an image reference: with and without the port. Wildcards name no host. */
export function hostsOf(names: readonly string[]): string[] {
  const hosts = names
    .filter((name) => !name.startsWith('*'))
    .map((name) => (name.includes(':') ? `[${name}]` : name));
  return [...new Set(hosts.flatMap((host) => [host, `${host}:${PORTS.registry}`]))];
}
