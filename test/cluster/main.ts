/**
 * The cluster of `npm run cluster`: up, down or status. Set-up has installed the tools and built the image before.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { toolPath } from '../helpers/tools.ts';
import { findCluster, removeCluster, startCluster, type Cluster } from './cluster.ts';
import { command } from './command.ts';

const ID = 0;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const IMAGE = join(ROOT, 'dist', 'image.tar');
const CHART = join(ROOT, 'charts', 'registry-operator');
const RELEASE = 'registry-operator';

async function up(): Promise<void> {
  const running = await findCluster(ID);
  const cluster = running ?? (await startCluster({ id: ID, stays: true }));
  console.log('the node is ready');
  await cluster.importImage(IMAGE);
  await installOperator(cluster);
  if (running) {
    await restartOperator(cluster);
  }
  console.log(`the operator is installed

  export KUBECONFIG=${cluster.kubeconfig}
  export PATH=${join(toolPath('kubectl'), '..')}:$PATH

  kubectl -n ${RELEASE} get pods
  kubectl apply -f examples/quickstart.yaml
  kubectl get registries --watch

  npm run cluster -- down        removes the cluster and everything in it`);
}

/** Runs helm with its caches inside the cluster's folder, so that they go with it. */
async function installOperator(cluster: Cluster): Promise<void> {
  const home = join(cluster.logsDir, '..', 'helm');
  const env = {
    ...process.env,
    KUBECONFIG: cluster.kubeconfig,
    HELM_CACHE_HOME: join(home, 'cache'),
    HELM_CONFIG_HOME: join(home, 'config'),
    HELM_DATA_HOME: join(home, 'data'),
  };
  const release = ['upgrade', '--install', RELEASE, CHART, '--namespace', RELEASE, '--create-namespace'];
  await command(toolPath('helm'), [...release, '--wait', '--timeout', '2m'], { env });
  await rm(home, { recursive: true, force: true });
}

/** A new image has the name of the one before, so nothing else would make the pods use it. */
async function restartOperator(cluster: Cluster): Promise<void> {
  const deployment = `deployment/${RELEASE}`;
  await cluster.kubectl(['-n', RELEASE, 'rollout', 'restart', deployment]);
  await cluster.kubectl(['-n', RELEASE, 'rollout', 'status', deployment, '--timeout=2m']);
}

async function down(): Promise<void> {
  const removed = await removeCluster(ID);
  console.log(removed ? 'the cluster is gone, nothing of it is left' : 'no cluster is up');
}

async function status(): Promise<void> {
  const cluster = await findCluster(ID);
  if (cluster === undefined) {
    console.log('no cluster is up; start one with: npm run cluster -- up');
    return;
  }
  console.log(`up: KUBECONFIG=${cluster.kubeconfig}, logs in ${cluster.logsDir}`);
  console.log(await cluster.kubectl(['get', 'nodes,pods', '--all-namespaces', '-o', 'wide']));
}

const COMMANDS: Readonly<Record<string, () => Promise<void>>> = { up, down, status };
const run = COMMANDS[process.argv[2] ?? ''];
if (run === undefined) {
  console.error('usage: npm run cluster -- up|down|status');
  process.exitCode = 1;
} else {
  await run();
}
