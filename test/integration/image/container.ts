import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { GenericContainer, getContainerRuntimeClient, type StartedTestContainer, Wait } from 'testcontainers';

import { POD_PLACEMENT } from '../../../src/operator/controllers/registry/placement.ts';
import { freePort } from '../../servers/process.ts';

/** What the container may use, as the `resources.limits.memory` of a Pod. */
export const MEMORY_LIMIT = 128 * 1024 * 1024;

const REGISTRY_PORT = 5000;
const OPS_PORT = 9090;

/** A registry that runs from the image, confined as the operator's Pods are. */
export interface RegistryContainer extends AsyncDisposable {
  /** Of the registry API, without a slash at its end. */
  readonly url: string;
  /** Of `/readyz` and `/metrics`. */
  readonly opsUrl: string;
  /** Runs a program in the container, output and exit status like `docker exec`. */
  exec(...command: string[]): Promise<{ exitCode: number; output: string }>;
  /** SIGTERM, as the kubelet sends it; resolves when the process has ended. */
  terminate(): Promise<void>;
  /** From `docker inspect`. */
  state(): Promise<{ Running: boolean; OOMKilled: boolean; ExitCode: number }>;
  log(): Promise<string>;
}

class ConfinedContainer extends GenericContainer {
  constructor(image: string) {
    super(image);
    this.hostConfig.ReadonlyRootfs = true;
    this.hostConfig.Memory = MEMORY_LIMIT;
    // The same as Memory: no swap.
    this.hostConfig.MemorySwap = MEMORY_LIMIT;
    this.createOpts.Volumes = { [POD_PLACEMENT.dataDir]: {} };
  }
}

interface Addresses {
  readonly listen: string;
  readonly ops: string;
}

/** Starts `registry serve` with a configuration file and waits until it is ready. */
export async function startRegistryContainer(image: string): Promise<RegistryContainer> {
  const folder = await writeConfig({ listen: POD_PLACEMENT.listen, ops: POD_PLACEMENT.opsListen });
  const container = await confined(image, folder)
    .withExposedPorts(REGISTRY_PORT, OPS_PORT)
    .withWaitStrategy(Wait.forHttp('/readyz', OPS_PORT, { abortOnContainerExit: true }))
    .start();
  const address = (port: number) => `${container.getHost()}:${container.getMappedPort(port)}`;
  return describeContainer(container, folder, { listen: address(REGISTRY_PORT), ops: address(OPS_PORT) });
}

/**
 * The same on the network of the host, where the end of the container does not also end the way to its clients:
 * Docker's proxy goes with the container, together with what it has not handed on yet.
 */
export async function startRegistryOnHostNetwork(image: string): Promise<RegistryContainer> {
  const [listen, ops] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const folder = await writeConfig({ listen, ops });
  const container = await confined(image, folder)
    .withNetworkMode('host')
    .withWaitStrategy(Wait.forLogMessage(/"listening"/))
    .start();
  return describeContainer(container, folder, { listen, ops });
}

async function writeConfig(addresses: Addresses): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'registry-config-'));
  await chmod(folder, 0o755);
  await writeFile(join(folder, 'config.json'), JSON.stringify(serverConfig(addresses)), { mode: 0o644 });
  return folder;
}

function confined(image: string, folder: string): GenericContainer {
  return new ConfinedContainer(image)
    .withUser('65532:65532')
    .withDroppedCapabilities('ALL')
    .withSecurityOpt('no-new-privileges')
    .withBindMounts([{ source: folder, target: '/etc/registry', mode: 'ro' }])
    .withCommand(['serve', '--config', POD_PLACEMENT.configFile]);
}

function serverConfig({ listen, ops }: Addresses): object {
  return {
    storage: { driver: 'filesystem', rootDirectory: POD_PLACEMENT.dataDir },
    http: { listen },
    ops: { listen: ops },
    auth: { anonymous: 'PullPush' },
  };
}

async function describeContainer(
  started: StartedTestContainer,
  folder: string,
  { listen, ops }: Addresses,
): Promise<RegistryContainer> {
  const client = await getContainerRuntimeClient();
  const container = client.container.getById(started.getId());
  return {
    url: `http://${listen}`,
    opsUrl: `http://${ops}`,
    async exec(...command) {
      const { exitCode, output } = await started.exec(command);
      return { exitCode, output };
    },
    async terminate() {
      await container.stop({ t: 60 });
    },
    async state() {
      return (await container.inspect()).State;
    },
    async log() {
      return (await container.logs({ stdout: true, stderr: true })).toString();
    },
    async [Symbol.asyncDispose]() {
      await started.stop({ remove: true, removeVolumes: true });
      await rm(folder, { recursive: true });
    },
  };
}
