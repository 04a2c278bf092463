import { setTimeout as sleep } from 'node:timers/promises';

import { beforeAll, describe, expect, it } from 'vitest';

import type { Cluster } from '../cluster/cluster.ts';
import { OPERATOR, sharedCluster } from './support/environment.ts';
import {
  apply,
  condition,
  createNamespace,
  eventually,
  get,
  list,
  type LiveObject,
  registry,
  waitUntilReady,
} from './support/objects.ts';

const NAMESPACE = 'resilience';
const MUTATING = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);

describe('the operator', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await sharedCluster();
    await createNamespace(cluster, NAMESPACE);
    await apply(cluster, NAMESPACE, registry('steady'));
    await waitUntilReady(cluster, NAMESPACE, 'steady');
  });

  async function operatorPods(): Promise<LiveObject[]> {
    return list(cluster, OPERATOR, 'pods', `app.kubernetes.io/instance=${OPERATOR}`);
  }

  async function leader(): Promise<string> {
    const [lease] = await list(cluster, OPERATOR, 'leases', '');
    return String(lease?.spec['holderIdentity']).split('_')[0] ?? '';
  }

  /** Writes that all operator Pods have sent since they started, Leases apart. */
  async function writes(): Promise<number> {
    let count = 0;
    for (const { status } of await operatorPods()) {
      const text = await (await fetch(`http://${String(status?.podIP)}:8080/metrics`)).text();
      for (const line of text.split('\n')) {
        const match = /^rest_client_requests_total\{(.*)\} (\d+)$/.exec(line);
        const labels = match?.[1] ?? '';
        const method = /method="(\w+)"/.exec(labels)?.[1];
        if (method !== undefined && MUTATING.has(method) && !labels.includes('resource="leases"'))
          count += Number(match?.[2]);
      }
    }
    return count;
  }

  it('writes nothing when nothing changes', async () => {
    // The last status may still be on its way when the Registry becomes Ready.
    await eventually('the writes to settle', 30, async () => {
      const before = await writes();
      await sleep(3000);
      return (await writes()) === before;
    });
    const before = await writes();
    expect(before).toBeGreaterThan(0);

    await cluster.kubectl(['-n', NAMESPACE, 'annotate', 'registry', 'steady', `touched=${Date.now()}`]);
    await sleep(5000);

    expect(await writes()).toBe(before);
  });

  it('misses no change when its leader is killed', async () => {
    const first = await leader();
    expect((await operatorPods()).map(({ metadata }) => metadata.name)).toContain(first);

    await cluster.kubectl(['-n', OPERATOR, 'delete', 'pod', first, '--grace-period=0', '--force']);
    await apply(cluster, NAMESPACE, registry('after-leader'));
    await waitUntilReady(cluster, NAMESPACE, 'after-leader', 60);

    expect(await leader()).not.toBe(first);
  });

  it('misses no change when the API server restarts', async () => {
    await cluster.nodeExec(['pkill', '-KILL', '-x', 'kube-apiserver']);
    await eventually('the API server to be back', 60, async () =>
      cluster.kubectl(['get', '--raw', '/readyz']),
    );
    await apply(
      cluster,
      NAMESPACE,
      registry('steady', { logging: { level: 'Debug' } }),
      registry('after-restart'),
    );

    await waitUntilReady(cluster, NAMESPACE, 'after-restart', 90);
    const { metadata } = await get(cluster, NAMESPACE, 'registry', 'steady');
    const ready = await eventually('the changed Registry to be seen', 60, async () => {
      const found = await condition(cluster, NAMESPACE, 'steady', 'Ready');
      return found?.observedGeneration === metadata.generation && found;
    });

    expect(ready.status).toBe('True');
  });
});
