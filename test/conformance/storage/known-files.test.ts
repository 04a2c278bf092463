import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { BufferPool } from '../../../src/registry/storage/buffer-pool.ts';
import type { StorageDriver } from '../../../src/registry/storage/driver.ts';
import { createFilesystemDriver } from '../../../src/registry/storage/drivers/filesystem.ts';
import { knownFiles } from '../../../src/registry/storage/drivers/filesystem/known-files.ts';
import { describeDriver } from './suite.ts';

/** Takes every file for one that has not changed for long, so that all that can be kept is kept. */
const later = (): number => Date.now() + 60_000;

describeDriver('filesystem with known files', {
  exclusiveSessions: true,
  async create() {
    const root = await mkdtemp(join(tmpdir(), 'storage-'));
    const open = async (): Promise<StorageDriver> =>
      knownFiles(await createFilesystemDriver({ root, buffers: new BufferPool(8 << 20) }), {
        root,
        now: later,
      });
    return {
      driver: await open(),
      another: open,
      residue: async () => (await readdir(root, { recursive: true })).filter((name) => name !== '.tmp~'),
      destroy: () => rm(root, { recursive: true }),
    };
  },
});
