import { KubeConfig } from '@kubernetes/client-node';

import { AppError, errorMessage } from '../../shared/errors.ts';
import type { ApiServerConfig } from './transport.ts';

/** What client-node falls back to when it finds no configuration at all. */
const FALLBACK_SERVER = 'http://localhost:8080';

/**
 * Finds access to the cluster: the given kubeconfig file, or what kubectl would use, or the pod's service account,
 * whose token is read again as it is renewed. (A module of its own because client-node is slow to load.)
 *
 * @throws AppError with code `KUBECONFIG` when there is none or it cannot be read
 */
export function loadKubeConfig(file: string | undefined): ApiServerConfig {
  const config = new KubeConfig();
  try {
    // client-node splits KUBECONFIG at colons and merges the files; a single file is read as it is.
    if (file === undefined) config.loadFromDefault();
    else config.loadFromFile(file);
  } catch (error) {
    throw new AppError('KUBECONFIG', `cannot read the kubeconfig: ${errorMessage(error)}`, { cause: error });
  }
  const server = config.getCurrentCluster()?.server;
  if (server === undefined || server === FALLBACK_SERVER)
    throw new AppError('KUBECONFIG', 'no access to a cluster: not in a pod, and no kubeconfig was found');
  return config;
}
