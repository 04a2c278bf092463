import { describe, expect, inject, it } from 'vitest';

import { sharedCluster } from './support/environment.ts';
import { examplesReady, exampleRegistries } from './support/examples.ts';
import { get, list } from './support/objects.ts';

/** Twice what the project promises. */
const QUICK_START_SECONDS = 30;

describe('the examples', () => {
  it('are quick: that of the quick start is Ready in time while the others start', () => {
    expect(inject('quickStart') / 1000).toBeLessThan(QUICK_START_SECONDS);
  });

  it('become Ready when they are applied as they are', async () => {
    const cluster = await sharedCluster();

    await examplesReady(cluster);

    for (const { name } of await exampleRegistries()) {
      const { status, metadata } = await get(cluster, 'default', 'registry', name);
      expect(status?.observedGeneration).toBe(metadata.generation);
      expect(status?.endpoint).toBe(`${name}.default.svc:5000`);
      const observed = status?.conditions?.map(({ observedGeneration }) => observedGeneration) ?? [];
      expect(new Set(observed)).toEqual(new Set([metadata.generation]));
    }
  });

  it('are shown in columns that say what matters', async () => {
    const cluster = await sharedCluster();
    await examplesReady(cluster);

    const table = await cluster.kubectl(['get', 'reg']);

    const lines = table.trim().split('\n');
    expect(lines[0]?.split(/\s+/)).toEqual([
      'NAME',
      'READY',
      'REASON',
      'ENDPOINT',
      'STORAGE',
      'REPLICAS',
      'AGE',
    ]);
    expect(lines.find((line) => line.startsWith('registry '))).toMatch(
      /True\s+\w+\s+registry\.default\.svc:5000\s+Filesystem\s+1/,
    );
  });

  it('run in Pods that hold no token and may write nowhere but to their volumes', async () => {
    const cluster = await sharedCluster();
    await examplesReady(cluster);

    const pods = await list(cluster, 'default', 'pods', 'app.kubernetes.io/managed-by=registry-operator');

    expect(pods.length).toBeGreaterThanOrEqual((await exampleRegistries()).length);
    for (const { spec } of pods) {
      expect(spec).toMatchObject({
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        securityContext: { runAsNonRoot: true, runAsUser: 65532 },
        containers: [{ securityContext: { readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } } }],
      });
    }
  });
});
