import { defineConfig } from 'vitest/config';

import { LongFilesFirst } from './test/helpers/file-order.ts';

/** Milliseconds that a single test of a tier may take before it counts as hung, on a machine that is busy. */
const seconds = (n: number) => n * 1000;

// A worker mostly waits, for a server or for a time limit: more of them than the two processors that we count on
// keep both busy. Each tier is a group of its own, since only then may it have a number of its own.
export default defineConfig({
  test: {
    maxWorkers: 2,
    sequence: { sequencer: LongFilesFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/*.test.ts'],
          sequence: { groupOrder: 0 },
          testTimeout: seconds(30),
        },
      },
      {
        extends: true,
        test: {
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts'],
          maxWorkers: 4,
          sequence: { groupOrder: 1 },
          testTimeout: seconds(60),
          hookTimeout: seconds(120),
        },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', 'test/chart/**/*.test.ts', 'test/cluster/**/*.test.ts'],
          sequence: { groupOrder: 2 },
          testTimeout: seconds(120),
          hookTimeout: seconds(300),
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: ['test/e2e/global-setup.ts'],
          maxWorkers: 3,
          sequence: { groupOrder: 3 },
          testTimeout: seconds(300),
          hookTimeout: seconds(300),
        },
      },
    ],
  },
});
