import type { StorageConfig } from '../../api/registry-config.ts';
import { unreachable } from '../../shared/assert.ts';
import { BufferPool } from './buffer-pool.ts';
import { measured, type StorageMetrics } from './decorators/measured.ts';
import { validated } from './decorators/validated.ts';
import type { StorageDriver } from './driver.ts';

export interface StorageOptions {
  readonly metrics: StorageMetrics;
  /** Bound of all stream buffers in bytes. */
  readonly bufferBytes: number;
}

/**
 * The storage of the configuration, with everything that goes around a driver. Loads only the driver that is
 * used.
 *
 * @throws StorageError when a folder cannot be made; a bucket that does not answer is found by `check`
 */
export async function createStorage(config: StorageConfig, options: StorageOptions): Promise<StorageDriver> {
  const driver = await createDriver(config, new BufferPool(options.bufferBytes));
  return validated(measured(driver, options.metrics));
}

async function createDriver(config: StorageConfig, buffers: BufferPool): Promise<StorageDriver> {
  switch (config.driver) {
    case 'filesystem': {
      const { createFilesystemDriver } = await import('./drivers/filesystem.ts');
      const root = config.rootDirectory;
      const driver = await createFilesystemDriver({ root, sync: config.sync === 'Always', buffers });
      const { isLocal, knownFiles } = await import('./drivers/filesystem/known-files.ts');
      return (await isLocal(root)) ? knownFiles(driver, { root }) : driver;
    }
    case 'memory': {
      const { createMemoryDriver } = await import('./drivers/memory.ts');
      return createMemoryDriver();
    }
    case 's3': {
      const { createS3Driver } = await import('./drivers/s3.ts');
      return createS3Driver({ ...config, buffers });
    }
    default:
      return unreachable(config);
  }
}
