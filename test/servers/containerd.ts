import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { toolPath } from '../helpers/tools.ts';
import { acceptsUnix, startProcess } from './process.ts';

/** Plugins that look for what a test does not bring, or that need a kernel with it. */
const UNUSED = [
  'io.containerd.grpc.v1.cri',
  'io.containerd.internal.v1.opt',
  'io.containerd.snapshotter.v1.aufs',
  'io.containerd.snapshotter.v1.btrfs',
  'io.containerd.snapshotter.v1.devmapper',
  'io.containerd.snapshotter.v1.zfs',
];

/** A containerd of its own: its folders and sockets are its own, and it runs no container. */
export interface Containerd extends AsyncDisposable {
  /** As in `CONTAINERD_ADDRESS`. */
  readonly address: string;
}

/** Starts containerd (Linux, root); images go to the snapshotter `native`, which needs no mount. */
export async function startContainerd(): Promise<Containerd> {
  const folder = await mkdtemp(join(tmpdir(), 'containerd-'));
  const address = join(folder, 'containerd.sock');
  const config = join(folder, 'config.toml');
  await writeFile(
    config,
    `version = 2
root = "${folder}/root"
state = "${folder}/state"
disabled_plugins = ${JSON.stringify(UNUSED)}
[grpc]
  address = "${address}"
[ttrpc]
  address = "${folder}/ttrpc.sock"
`,
  );
  const daemon = await startProcess({
    command: toolPath('containerd'),
    args: ['--config', config],
    logFile: join(folder, 'log'),
    ready: () => acceptsUnix(address),
    timeoutMs: 30_000,
  }).catch(async (error: unknown) => {
    await rm(folder, { recursive: true, force: true });
    throw error;
  });
  return {
    address,
    async [Symbol.asyncDispose]() {
      await daemon.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
