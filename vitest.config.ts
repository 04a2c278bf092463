import { defineConfig } from 'vitest/config';

/** Milliseconds that a single test of a tier may take before it counts as hung, on a machine that is busy. */
const seconds = (n: number) => n * 1000;

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['src/**/*.test.ts', 'test/*.test.ts'], testTimeout: seconds(30) },
      },
      {
        extends: true,
        test: {
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts'],
          testTimeout: seconds(60),
          hookTimeout: seconds(120),
        },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', 'test/chart/**/*.test.ts', 'test/cluster/**/*.test.ts'],
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
          testTimeout: seconds(300),
          hookTimeout: seconds(300),
          fileParallelism: false,
        },
      },
    ],
  },
});
