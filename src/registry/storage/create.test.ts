import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { StorageConfig } from '../../api/registry-config.ts';
import { createStorage } from './create.ts';
import type { StorageKey } from './driver.ts';
import { isStorageError } from './errors.ts';

const NO_METRICS = { observe() {}, error() {} };

describe('createStorage', () => {
  test('makes the driver of the configuration, and guards it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'storage-'));
    const configs = [
      { driver: 'memory' },
      { driver: 'filesystem', rootDirectory: join(folder, 'made', 'here') },
      { driver: 's3', bucket: 'some-bucket', endpoint: 'http://127.0.0.1:9' },
    ];

    for (const config of configs) {
      const storage = await createStorage(StorageConfig.parse(config), {
        metrics: NO_METRICS,
        bufferBytes: 1 << 20,
      });
      expect(storage.capabilities.name).toBe(config.driver);
      await expect(storage.stat('../escape' as StorageKey)).rejects.toSatisfy((error) =>
        isStorageError(error, 'INVALID_KEY'),
      );
      await storage.close();
    }
    await rm(folder, { recursive: true });
  });
});
