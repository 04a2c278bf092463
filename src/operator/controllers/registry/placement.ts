/**
 * Where a registry server finds its files and listens: constant in a Pod, host paths when a Registry runs
 * without a cluster.
 */
export interface Placement {
  /** The server's configuration. */
  readonly configFile: string;
  /** Folder with `tls.crt` and `tls.key`. */
  readonly tlsDir: string;
  /** Folder with one folder per htpasswd reference, named by its index. */
  readonly authDir: string;
  /** Folder with the S3 credentials, one file per key. */
  readonly credentialsDir: string;
  /** Folder with the CA bundle of the S3 endpoint. */
  readonly caBundleDir: string;
  /** Content of Filesystem and Ephemeral storage. */
  readonly dataDir: string;
  /** Scratch space of a server whose content is not on a volume. */
  readonly spoolDir: string;
  /** `host:port` of the registry API. */
  readonly listen: string;
  /** `host:port` of the operations port. */
  readonly opsListen: string;
}

/** Paths and addresses in a Pod. */
export const POD_PLACEMENT: Placement = {
  configFile: '/etc/registry/config.json',
  tlsDir: '/etc/registry/tls',
  authDir: '/etc/registry/auth',
  credentialsDir: '/etc/registry/credentials',
  caBundleDir: '/etc/registry/ca-bundle',
  dataDir: '/var/lib/registry',
  spoolDir: '/var/lib/registry-state',
  listen: '0.0.0.0:5000',
  opsListen: '0.0.0.0:9090',
};

/**
 * The placement in a Pod whose Service has these addresses.
 *
 * A Pod of a cluster that speaks IPv6 only has no IPv4 address to listen on; `[::]` takes both families.
 */
export function podPlacement(clusterIPs: readonly string[]): Placement {
  if (!clusterIPs.some((address) => address.includes(':'))) return POD_PLACEMENT;
  return { ...POD_PLACEMENT, listen: '[::]:5000', opsListen: '[::]:9090' };
}
