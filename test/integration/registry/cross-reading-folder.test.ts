import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';

import { describe } from 'vitest';

import { DISTRIBUTION_3 } from '../../servers/distribution.ts';
import { DOCKER_REGISTRY } from '../../servers/docker-registry.ts';
import { testCrossReading } from './cross-reading-suite.ts';

describe.each([DOCKER_REGISTRY, DISTRIBUTION_3])('a folder shared with distribution $version', (program) => {
  testCrossReading({
    program,
    showsUploads: true,
    async newStore(folder) {
      const rootDirectory = await mkdtemp(join(folder, 'data-'));
      return {
        ours: { driver: 'filesystem', rootDirectory },
        theirs: { filesystem: { rootdirectory: rootDirectory } },
      };
    },
  });
});
