import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { BufferPool } from '../../../src/registry/storage/buffer-pool.ts';
import { createFilesystemDriver } from '../../../src/registry/storage/drivers/filesystem.ts';
import { describeDriver } from './suite.ts';

describeDriver('filesystem', {
  exclusiveSessions: true,
  async create() {
    const root = await mkdtemp(join(tmpdir(), 'storage-'));
    const open = () => createFilesystemDriver({ root, buffers: new BufferPool(8 << 20) });
    return {
      driver: await open(),
      another: open,
      residue: async () => (await readdir(root, { recursive: true })).filter((name) => name !== '.tmp~'),
      destroy: () => rm(root, { recursive: true }),
    };
  },
});
