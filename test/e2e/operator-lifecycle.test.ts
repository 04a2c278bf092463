import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { crane, reach, Workspace } from './support/clients.ts';
import { IMAGE_ARCHIVE, installOperator, OPERATOR, uninstallOperator } from './support/environment.ts';
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

/** A cluster of its own: the tests that run meanwhile need their operator and their API server. */
const CLUSTER_ID = 2;
const NAMESPACE = 'lifecycle';
const MUTATING = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);

describe('the operator', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await startCluster({ id: CLUSTER_ID });
    await cluster.importImage(IMAGE_ARCHIVE);
    await installOperator(cluster);
    await createNamespace(cluster, NAMESPACE);
    await apply(cluster, NAMESPACE, registry('steady'), registry('stays'));
    for (const name of ['steady', 'stays']) await waitUntilReady(cluster, NAMESPACE, name);
  });
  afterAll(() => cluster?.stop());

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

  it('leaves Registries behind when helm uninstalls it, which go on serving, and a new install takes them over', async () => {
    await using work = await Workspace.create();
    const { metadata } = await get(cluster, NAMESPACE, 'registry', 'stays');
    const at = await reach(cluster, NAMESPACE, 'stays');
    const selector = 'registry-operator.dev/registry=stays';

    await uninstallOperator(cluster);
    expect((await get(cluster, NAMESPACE, 'registry', 'stays')).metadata.uid).toBe(metadata.uid);
    const operators = await eventually('the operator to go', 60, async () => {
      const pods = await operatorPods();
      return pods.length === 0 && pods;
    });
    expect(operators).toEqual([]);
    await crane(['push', await work.image(`${at.host}/app:1`), `${at.host}/app:1`], await work.clientOf(at));
    const [pod] = await list(cluster, NAMESPACE, 'pods', selector);

    await installOperator(cluster);
    await apply(cluster, NAMESPACE, registry('stays', { logging: { level: 'Debug' } }));
    await eventually('the changed Registry to be seen', 60, async () => {
      const { generation } = (await get(cluster, NAMESPACE, 'registry', 'stays')).metadata;
      const found = await condition(cluster, NAMESPACE, 'stays', 'Ready');
      return found?.status === 'True' && found.observedGeneration === generation;
    });
    expect((await list(cluster, NAMESPACE, 'pods', selector))[0]?.metadata.uid).toBe(pod?.metadata.uid);
  });
});
