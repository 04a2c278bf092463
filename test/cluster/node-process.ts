import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { toolPath } from '../helpers/tools.ts';
import { command } from './command.ts';
import { identify, type ProcessIdentity } from './process-identity.ts';
import { CLUSTER_DOMAIN, NODE_NAME, type ClusterSettings } from './settings.ts';

const NODE_INIT = fileURLToPath(new URL('node-init.sh', import.meta.url));

/** The processes of a cluster that are known by number on the host. */
export interface NodeProcesses {
  /** `unshare`, which made the namespaces. */
  readonly outer: ProcessIdentity;
  /** PID 1 of the namespaces; missing while the cluster starts. */
  readonly init?: ProcessIdentity;
  /** The tests that the node ends with; missing for a cluster that stays. */
  readonly owner?: ProcessIdentity;
}

/** Starts the node in namespaces of its own and joins it to the host by one pair of links. */
export async function startNode(
  settings: ClusterSettings,
  { owned }: { owned: boolean },
): Promise<NodeProcesses> {
  const owner = owned ? await identify(process.pid) : undefined;
  const outer = await identify(spawnNode(settings, owned));
  if (outer === undefined) {
    throw new Error(`the node did not start; see ${settings.dir}/logs/node.log`);
  }
  const known = { outer, ...(owner && { owner }) };
  await record(settings, known);
  const init = await waitForChild(outer);
  await record(settings, { ...known, init });
  await joinNetworks(settings, init.pid);
  return { ...known, init };
}

/** @returns what `startNode` recorded; undefined when no cluster of this id was started, or it was stopped */
export async function recordedNode({ dir }: ClusterSettings): Promise<NodeProcesses | undefined> {
  const text = await readFile(join(dir, 'node.json'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as NodeProcesses);
}

export async function forgetNode({ dir }: ClusterSettings): Promise<void> {
  await rm(join(dir, 'node.json'), { force: true });
}

async function record({ dir }: ClusterSettings, processes: NodeProcesses): Promise<void> {
  await writeFile(join(dir, 'node.json'), JSON.stringify(processes));
}

function spawnNode(settings: ClusterSettings, owned: boolean): number {
  const log = openSync(join(settings.dir, 'logs', 'node.log'), 'a');
  const namespaces = [
    '--mount',
    '--propagation',
    'private',
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
  ];
  const child = spawn(toolPath('unshare'), [...namespaces, '--net', '--uts', '--ipc', NODE_INIT], {
    detached: true,
    stdio: [owned ? 'pipe' : 'ignore', log, log],
    env: {
      ...process.env,
      CLUSTER_DIR: settings.dir,
      PROGRAMS_DIR: dirname(toolPath('kubelet')),
      NODE_NAME,
      NODE_IP: settings.nodeIP,
      HOST_IP: settings.hostIP,
      SERVICE_CIDR: settings.serviceCIDR,
      CLUSTER_DOMAIN,
      CGROUP: settings.cgroup,
      OWNED: owned ? 'yes' : 'no',
    },
  });
  closeSync(log);
  child.unref();
  if (child.stdin && 'unref' in child.stdin && typeof child.stdin.unref === 'function') {
    child.stdin.unref();
  }
  return child.pid ?? 0;
}

async function waitForChild(parent: ProcessIdentity): Promise<ProcessIdentity> {
  const pgrep = toolPath('pgrep');
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const pid = await command(pgrep, ['-P', String(parent.pid)]).catch(() => '');
    const child = pid === '' ? undefined : await identify(Number(pid.split('\n')[0]));
    if (child !== undefined) {
      return child;
    }
    await delay(20);
  }
  throw new Error(`process ${parent.pid} has made no namespaces`);
}

async function joinNetworks(settings: ClusterSettings, init: number): Promise<void> {
  const { hostLink, hostIP, nodeIP, podCIDR, serviceCIDR } = settings;
  await ip('link', 'add', hostLink, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(init));
  await ip('addr', 'add', `${hostIP}/30`, 'dev', hostLink);
  await ip('link', 'set', hostLink, 'up');
  for (const network of [podCIDR, serviceCIDR]) {
    await ip('route', 'replace', network, 'via', nodeIP, 'dev', hostLink);
  }
}

function ip(...args: string[]): Promise<string> {
  return command(toolPath('ip'), args);
}
