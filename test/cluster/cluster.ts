import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { toolPath } from '../helpers/tools.ts';
import { makeCgroup, removeCgroup } from './cgroups.ts';
import { command, type CommandOptions } from './command.ts';
import { writeConfigFiles } from './config-files.ts';
import { forgetNode, recordedNode, startNode, type NodeProcesses } from './node-process.ts';
import { writeCredentials } from './pki.ts';
import { isAlive, killProcess } from './process-identity.ts';
import {
  clusterSettings,
  CNI_PLUGINS,
  NODE_NAME,
  PAUSE_IMAGE,
  TESTAPP_IMAGE,
  type ClusterSettings,
} from './settings.ts';
import { writeStaticImage } from './static-image.ts';
import { clusterTraces, pidNamespace } from './traces.ts';

/** How the node's containerd reaches a registry. */
export interface RegistryHost {
  /** URL of the server, such as `https://10.199.7.1:5000`. */
  readonly server: string;
  /** PEM of the authority that signed the server's certificate. */
  readonly ca?: string;
  /** What the server may be asked for; everything when missing. */
  readonly capabilities?: readonly ('pull' | 'resolve' | 'push')[];
}

export interface StartOptions {
  /** From 0 to 199; 0 is the one of `npm run cluster`. Clusters with different ids run side by side. */
  readonly id: number;
  /** Lets the cluster outlive this process. Without it the node ends with the process that started it. */
  readonly stays?: boolean;
}

const PROGRAMS = [
  'containerd',
  'containerd-shim-runc-v2',
  'runc',
  'ctr',
  'nft',
  'nsenter',
  'curl',
  'kubelet',
];

/**
 * A real Kubernetes on one node, which is a set of namespaces of this machine joined to it by one pair of links. The
 * machine's mounts, firewall, routes and sysctls stay as they are, apart from that link and two routes over it. The
 * host reaches pods and services by their addresses; pods and the node reach servers of the host at `hostIP`.
 */
export class Cluster {
  readonly #settings: ClusterSettings;
  readonly #node: NodeProcesses;

  constructor(settings: ClusterSettings, node: NodeProcesses) {
    this.#settings = settings;
    this.#node = node;
  }

  get id(): number {
    return this.#settings.id;
  }

  /** Path of a kubeconfig of the administrator. */
  get kubeconfig(): string {
    return join(this.#settings.dir, 'admin.kubeconfig');
  }

  /** The host's end of the link to the node: listen here, or on every address, to be reached from the cluster. */
  get hostIP(): string {
    return this.#settings.hostIP;
  }

  /** Address of the node, at which NodePorts and host ports answer. */
  get nodeIP(): string {
    return this.#settings.nodeIP;
  }

  /** containerd's `certs.d`, read at every pull. */
  get certsDir(): string {
    return join(this.#settings.dir, 'etc', 'certs.d');
  }

  /** Folder of the components' log files. */
  get logsDir(): string {
    return join(this.#settings.dir, 'logs');
  }

  /** Runs kubectl as administrator; resolves to its standard output. */
  kubectl(args: readonly string[], options: CommandOptions = {}): Promise<string> {
    const env = { ...process.env, ...options.env, KUBECONFIG: this.kubeconfig };
    return command(toolPath('kubectl'), args, { ...options, env });
  }

  /** Runs containerd's client on the images and containers that kubelet sees. */
  ctr(args: readonly string[], options: CommandOptions = {}): Promise<string> {
    return command(toolPath('ctr'), ['-a', this.#socket, '-n', 'k8s.io', ...args], options);
  }

  /** Runs a program of the host inside the node's namespaces. */
  nodeExec(args: readonly string[], options: CommandOptions = {}): Promise<string> {
    const target = String(this.#node.init?.pid);
    const namespaces = ['--mount', '--pid', '--net', '--uts', '--ipc'];
    return command(toolPath('nsenter'), ['-t', target, ...namespaces, '--', ...args], options);
  }

  /** Gives the node the images of an archive (`docker save` or OCI layout), under the names that it holds. */
  async importImage(tar: string): Promise<void> {
    await this.ctr(['images', 'import', tar]);
  }

  /** Writes the `hosts.toml` by which the node finds the registry that image names call `host`. */
  async addRegistryHost(host: string, { server, ca, capabilities }: RegistryHost): Promise<void> {
    const folder = join(this.certsDir, host);
    await mkdir(folder, { recursive: true });
    const trust = ca === undefined ? [] : [`ca = ${JSON.stringify(join(folder, 'ca.crt'))}`];
    if (ca !== undefined) await writeFile(join(folder, 'ca.crt'), ca);
    const lines = [
      `server = ${JSON.stringify(server)}`,
      ...trust,
      `[host.${JSON.stringify(server)}]`,
      `capabilities = ${JSON.stringify(capabilities ?? ['pull', 'resolve', 'push'])}`,
      ...trust,
    ];
    await writeFile(join(folder, 'hosts.toml'), `${lines.join('\n')}\n`);
  }

  /**
   * Ends the cluster and removes everything of it.
   *
   * @throws Error that lists what is left on the machine, if anything is
   */
  async stop(): Promise<void> {
    await stopCluster(this.#settings, this.#node);
    await rm(this.#settings.dir, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  get #socket(): string {
    return join(this.#settings.dir, 'containerd.sock');
  }
}

/**
 * Starts a cluster and waits until its node is ready, about five seconds. Needs root. A cluster of this id that an
 * earlier run has left behind is removed first.
 *
 * @throws Error when a program is missing, when the id belongs to a process that runs, or when a part does not start;
 *   the logs are kept then
 */
export async function startCluster({ id, stays = false }: StartOptions): Promise<Cluster> {
  const settings = clusterSettings(id);
  await checkMachine();
  await removeRemains(settings);
  const folders = [
    'pki',
    'etc',
    'logs',
    'pids',
    'etcd',
    'containerd',
    'var-log',
    'kubelet',
    'volumes',
    'tmp',
  ];
  for (const folder of folders) {
    await mkdir(join(settings.dir, folder), { recursive: true });
  }
  await Promise.all([writeCredentials(settings), writeConfigFiles(settings), makeCgroup(settings.cgroup)]);
  try {
    const cluster = new Cluster(settings, await startNode(settings, { owned: !stays }));
    await bringUp(cluster, settings);
    return cluster;
  } catch (error) {
    const node = await recordedNode(settings);
    if (node) {
      await stopCluster(settings, node);
    }
    throw new Error(`cluster ${id} does not start; its logs are in ${settings.dir}/logs`, { cause: error });
  }
}

/** @returns the running cluster of this id, whoever started it */
export async function findCluster(id: number): Promise<Cluster | undefined> {
  const settings = clusterSettings(id);
  const node = await recordedNode(settings);
  return node?.init && (await isAlive(node.init)) ? new Cluster(settings, node) : undefined;
}

/**
 * Ends the cluster of this id, whoever started it, and removes what is left of one that ended by itself.
 *
 * @returns whether there was anything
 */
export async function removeCluster(id: number): Promise<boolean> {
  const settings = clusterSettings(id);
  const node = await recordedNode(settings);
  if (node) {
    await stopCluster(settings, node);
  }
  const existed = existsSync(settings.dir);
  await rm(settings.dir, { recursive: true, force: true });
  return existed;
}

async function checkMachine(): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new Error('a cluster needs root: it makes namespaces, links and control groups');
  }
  PROGRAMS.forEach((name) => toolPath(name));
  if (!existsSync(join(CNI_PLUGINS, 'ptp'))) {
    throw new Error(`no CNI plugins in ${CNI_PLUGINS}; npm test installs them`);
  }
}

async function removeRemains(settings: ClusterSettings): Promise<void> {
  const node = await recordedNode(settings);
  if (node) {
    const running = node.init !== undefined && (await isAlive(node.init));
    const inUse = node.owner ? await isAlive(node.owner) : running;
    if (running && inUse) {
      const owner = node.owner ? `process ${node.owner.pid}` : 'npm run cluster';
      throw new Error(`cluster ${settings.id} is in use by ${owner}`);
    }
  }
  await removeCluster(settings.id);
}

async function bringUp(cluster: Cluster, settings: ClusterSettings): Promise<void> {
  const images = importStaticImages(cluster, settings);
  await Promise.all([images, waitFor('kube-apiserver', 90, () => apiIsReady(settings))]);
  await waitFor('the storage class', 20, () =>
    cluster.kubectl(['apply', '-f', join(settings.dir, 'etc/addons.yaml')]),
  );
  await waitFor(`node ${NODE_NAME}`, 90, async () => {
    const path = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}';
    return (await cluster.kubectl(['get', 'node', NODE_NAME, '-o', path])) === 'True';
  });
  await waitFor('the default service account', 30, () =>
    cluster.kubectl(['-n', 'default', 'get', 'serviceaccount', 'default']),
  );
}

async function importStaticImages(cluster: Cluster, { dir }: ClusterSettings): Promise<void> {
  const images = { [PAUSE_IMAGE]: 'pause', [TESTAPP_IMAGE]: 'testapp' };
  await waitFor('containerd', 20, () => cluster.ctr(['version']));
  for (const [name, program] of Object.entries(images)) {
    const archive = join(dir, 'tmp', `${program}.tar`);
    await writeStaticImage(archive, name, toolPath(program));
    await cluster.importImage(archive);
    await rm(archive);
  }
}

async function apiIsReady({ dir, nodeIP }: ClusterSettings): Promise<boolean> {
  const pem = (name: string): Promise<string> => readFile(join(dir, 'pki', name), 'utf8');
  const credentials = { ca: await pem('ca.crt'), cert: await pem('admin.crt'), key: await pem('admin.key') };
  return new Promise((resolve, reject) => {
    const options = { ...credentials, agent: false as const, timeout: 2000 };
    const call = request(`https://${nodeIP}:6443/readyz`, options, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    call.on('timeout', () => call.destroy(new Error('no answer'))).on('error', reject);
    call.end();
  });
}

/** Killing PID 1 of the namespaces makes the kernel end, unmount and unlink everything inside. */
async function stopCluster(settings: ClusterSettings, node: NodeProcesses): Promise<void> {
  const namespace = node.init && (await pidNamespace(node.init.pid).catch(() => undefined));
  if (node.init) {
    await killProcess(node.init);
  }
  await killProcess(node.outer);
  await waitFor('the link to go', 5, () => !existsSync(`/sys/class/net/${settings.hostLink}`));
  await removeCgroup(settings.cgroup);
  // Mount points that were made for the node, unless something else uses them.
  for (const folder of ['/var/lib/kubelet', '/var/lib/cni']) {
    await rmdir(folder).catch(() => undefined);
  }
  await forgetNode(settings);
  const traces = await clusterTraces(settings, namespace);
  if (traces.length > 0) {
    throw new Error(`cluster ${settings.id} left on this machine:\n${traces.join('\n')}`);
  }
}

/** Polls until the answer is neither false nor an error. */
async function waitFor(what: string, seconds: number, check: () => unknown): Promise<void> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    let failure: unknown;
    try {
      if ((await check()) !== false) {
        return;
      }
    } catch (error) {
      failure = error;
    }
    if (performance.now() > end) {
      throw new Error(`timed out waiting for ${what}`, { cause: failure });
    }
    await delay(100);
  }
}
