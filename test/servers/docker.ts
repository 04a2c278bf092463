import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { toolPath } from '../helpers/tools.ts';
import { lockMachine } from './machine-lock.ts';
import { startProcess } from './process.ts';

const run = promisify(execFile);

const DEFAULT_SOCKET = '/var/run/docker.sock';
const BRIDGE = 'docker0';
const START_MS = 30_000;
/** The longest test that uses a daemon of our own takes a quarter of this. */
const LOCK_MS = 90_000;

/** A Docker daemon that tests may use. */
export interface Docker extends AsyncDisposable {
  /** As in `DOCKER_HOST`. */
  readonly host: string;
}

/**
 * The Docker daemon that runs on this machine, else one of our own that ends with the test (Linux, root).
 * Either way the variables that docker and testcontainers read point to it until it is disposed.
 *
 * Our own daemon has its own folders and socket and publishes ports on 127.0.0.1 by its proxy, so it adds no
 * firewall rule and leaves forwarding alone; its bridge is removed at the end.
 */
export async function startDocker(): Promise<Docker> {
  const running = process.env['DOCKER_HOST'] ?? `unix://${DEFAULT_SOCKET}`;
  const daemon = (await answers(running)) ? undefined : await startDaemon();
  const host = daemon?.host ?? running;
  const restore = setVariables({
    DOCKER_HOST: host,
    // Its reaper is an image that would have to be pulled.
    TESTCONTAINERS_RYUK_DISABLED: 'true',
    ...(daemon === undefined ? {} : { TESTCONTAINERS_HOST_OVERRIDE: '127.0.0.1' }),
  });
  return {
    host,
    async [Symbol.asyncDispose]() {
      restore();
      await daemon?.[Symbol.asyncDispose]();
    },
  };
}

async function startDaemon(): Promise<Docker> {
  // Two daemons would share the bridge, and the first to end would take it from the other.
  const lock = await lockMachine('docker', LOCK_MS);
  const folder = await mkdtemp(join(tmpdir(), 'docker-'));
  const host = `unix://${join(folder, 'docker.sock')}`;
  const hadBridge = BRIDGE in networkInterfaces();
  async function cleanUp(): Promise<void> {
    if (!hadBridge) await run(toolPath('ip'), ['link', 'delete', BRIDGE]).catch(() => undefined);
    // Containers on the network of the host leave its namespace mounted there.
    const namespaces = join(folder, 'exec', 'netns');
    for (const name of await readdir(namespaces).catch(() => [])) {
      await run(toolPath('umount'), [join(namespaces, name)]).catch(() => undefined);
    }
    await rm(folder, { recursive: true, force: true });
    await lock[Symbol.asyncDispose]();
  }
  try {
    const daemon = await startProcess({
      command: toolPath('dockerd'),
      args: daemonArguments(folder, host),
      logFile: join(folder, 'log'),
      ready: () => answers(host),
      timeoutMs: START_MS,
    });
    return {
      host,
      async [Symbol.asyncDispose]() {
        await daemon.stop();
        await cleanUp();
      },
    };
  } catch (error) {
    await cleanUp();
    throw error;
  }
}

function daemonArguments(folder: string, host: string): string[] {
  return [
    `--host=${host}`,
    `--data-root=${join(folder, 'data')}`,
    `--exec-root=${join(folder, 'exec')}`,
    `--pidfile=${join(folder, 'pid')}`,
    '--iptables=false',
    '--ip6tables=false',
    '--ip-masq=false',
    '--ip-forward=false',
    '--ip=127.0.0.1',
  ];
}

/** Whether a daemon answers at a `DOCKER_HOST`; only sockets are asked, other addresses are trusted. */
async function answers(host: string): Promise<boolean> {
  if (!host.startsWith('unix://')) return true;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const ping = request(
    { socketPath: host.slice('unix://'.length), path: '/_ping', timeout: 5000 },
    (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    },
  );
  ping.on('timeout', () => ping.destroy());
  ping.on('error', () => resolve(false));
  ping.end();
  return promise;
}

/** @returns a function that puts the old values back */
function setVariables(values: Readonly<Record<string, string>>): () => void {
  const old = Object.keys(values).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, values);
  return () => {
    for (const [name, value] of old) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
}
