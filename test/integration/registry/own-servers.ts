import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach } from 'vitest';

import type { RegistryConfigInput } from '../../../src/api/registry-config.ts';
import { scratchFolder } from '../../helpers/scratch-folder.ts';
import { startRegistry, type TestRegistry } from '../../servers/registry.ts';

/** What a test has to itself: a folder, and servers on it. All of it is gone after the test. */
export interface OwnServers {
  /** Of the test that runs; the content of its servers is in `data`. */
  readonly folder: string;
  /**
   * Starts a server that everybody may pull from and push to, unless `config` says something else. The next one of the
   * same test goes on with the content of the one before.
   *
   * @param ca PEM of the CA of its certificate
   */
  start(config?: Partial<RegistryConfigInput>, ca?: string): Promise<TestRegistry>;
  /** Calls this after the test; what was asked for last comes first. */
  atEnd(cleanUp: () => unknown): void;
}

/**
 * For a file, or a `describe`, whose every test starts servers of its own.
 *
 * @param always what the configuration of each begins with
 */
export function useOwnServers(always: Partial<RegistryConfigInput> = {}): OwnServers {
  const cleanups: (() => unknown)[] = [];
  let folder = '';
  beforeEach(async () => {
    folder = await scratchFolder('registry-');
  });
  afterEach(async () => {
    for (const cleanUp of cleanups.splice(0).toReversed()) await cleanUp();
    await rm(folder, { recursive: true });
  });
  return {
    get folder() {
      return folder;
    },
    async start(config = {}, ca) {
      const registry = await startRegistry({
        folder,
        ...(ca === undefined ? {} : { ca }),
        config: {
          storage: { driver: 'filesystem', rootDirectory: join(folder, 'data') },
          auth: { anonymous: 'PullPush' },
          ...always,
          ...config,
        },
      });
      cleanups.push(() => registry.process.stop());
      return registry;
    },
    atEnd(cleanUp) {
      cleanups.push(cleanUp);
    },
  };
}
