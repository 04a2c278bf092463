import { join } from 'node:path';

import { cacheRoot } from '../helpers/tools.ts';

/** Clusters with different ids run side by side; every address and name follows from the id. */
const MAX_CLUSTER_ID = 199;

export const NODE_NAME = 'node-1';
export const CLUSTER_DOMAIN = 'cluster.local';
/** Image of the container that holds a pod's namespaces. */
export const PAUSE_IMAGE = 'test-cluster.local/pause:1';
/** A static program for pods of tests: `serve`, `get URL`, `lookup NAME`, `write PATH TEXT`, `cat PATH`. */
export const TESTAPP_IMAGE = 'test-cluster.local/testapp:1';
/** Debian's folder of CNI plugins. */
export const CNI_PLUGINS = '/usr/lib/cni';

/** Addresses, names and paths of one cluster. */
export interface ClusterSettings {
  readonly id: number;
  /** Holds everything that the cluster writes. */
  readonly dir: string;
  /** The host's end of the link to the node: where the node and its pods reach servers of the host. */
  readonly hostIP: string;
  readonly nodeIP: string;
  readonly podCIDR: string;
  readonly serviceCIDR: string;
  /** ClusterIP of the API server. */
  readonly firstServiceIP: string;
  /** Name of the host's end of the link. */
  readonly hostLink: string;
  /** Control group of the node and its pods. */
  readonly cgroup: string;
}

/** @throws RangeError for an id that gives no valid addresses */
export function clusterSettings(id: number): ClusterSettings {
  if (!Number.isInteger(id) || id < 0 || id > MAX_CLUSTER_ID) {
    throw new RangeError(`the id of a cluster is a whole number from 0 to ${MAX_CLUSTER_ID}, not ${id}`);
  }
  return {
    id,
    dir: join(cacheRoot(), 'cluster', String(id)),
    hostIP: `10.199.${id}.1`,
    nodeIP: `10.199.${id}.2`,
    podCIDR: `10.244.${id}.0/24`,
    serviceCIDR: `10.96.${id}.0/24`,
    firstServiceIP: `10.96.${id}.1`,
    hostLink: `regop${id}`,
    cgroup: `registry-operator-${id}`,
  };
}
