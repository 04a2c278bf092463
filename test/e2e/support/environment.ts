import { fileURLToPath } from 'node:url';

import { type Cluster, findCluster } from '../../cluster/cluster.ts';
import { command } from '../../cluster/command.ts';
import { toolPath } from '../../helpers/tools.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** Id of the cluster that all end-to-end tests share; 0 is the one of `npm run cluster`. */
export const SHARED_CLUSTER = 1;

/** Archive of the image under test, made by `npm run image`. */
export const IMAGE_ARCHIVE = `${ROOT}/dist/image.tar`;
export const EXAMPLES = `${ROOT}/examples`;

/** Release and namespace of the operator. */
export const OPERATOR = 'registry-operator';

/** The cluster that the set-up of this tier has started. */
export async function sharedCluster(): Promise<Cluster> {
  const cluster = await findCluster(SHARED_CLUSTER);
  if (cluster === undefined)
    throw new Error('the cluster of the end-to-end tests is gone; its set-up has failed');
  return cluster;
}

/** Installs the chart with helm as a user would, and waits for the operator. */
export async function installOperator(cluster: Cluster, values: readonly string[] = []): Promise<void> {
  await helm(cluster, [
    'install',
    OPERATOR,
    `${ROOT}/charts/registry-operator`,
    '--create-namespace',
    '--wait',
    '--timeout=2m',
    ...values.map((value) => `--set=${value}`),
  ]);
}

export async function uninstallOperator(cluster: Cluster): Promise<void> {
  await helm(cluster, ['uninstall', OPERATOR, '--wait', '--timeout=1m']);
}

function helm(cluster: Cluster, args: readonly string[]): Promise<string> {
  return command(toolPath('helm'), [
    ...args,
    `--namespace=${OPERATOR}`,
    `--kubeconfig=${cluster.kubeconfig}`,
  ]);
}
