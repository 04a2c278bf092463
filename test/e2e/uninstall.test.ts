import { describe, expect, it } from 'vitest';

import { startCluster } from '../cluster/cluster.ts';
import { crane, reach, Workspace } from './support/clients.ts';
import { IMAGE_ARCHIVE, installOperator, OPERATOR, uninstallOperator } from './support/environment.ts';
import { apply, eventually, get, list, registry, waitUntilReady } from './support/objects.ts';

/** A cluster of its own: the others still need their operator. */
const CLUSTER_ID = 2;

describe('helm uninstall', () => {
  it('keeps the Registries, which go on serving, and a new install takes them over', async () => {
    await using cluster = await startCluster({ id: CLUSTER_ID });
    await using work = await Workspace.create();
    await cluster.importImage(IMAGE_ARCHIVE);
    await installOperator(cluster);
    await apply(cluster, 'default', registry('stays'));
    await waitUntilReady(cluster, 'default', 'stays');
    const { metadata } = await get(cluster, 'default', 'registry', 'stays');
    const at = await reach(cluster, 'default', 'stays');

    await uninstallOperator(cluster);
    expect((await get(cluster, 'default', 'registry', 'stays')).metadata.uid).toBe(metadata.uid);
    const operators = await eventually('the operator to go', 60, async () => {
      const pods = await list(cluster, OPERATOR, 'pods', `app.kubernetes.io/instance=${OPERATOR}`);
      return pods.length === 0 && pods;
    });
    expect(operators).toEqual([]);
    await crane(['push', await work.image(`${at.host}/app:1`), `${at.host}/app:1`], await work.clientOf(at));
    const [pod] = await list(cluster, 'default', 'pods', 'registry-operator.dev/registry=stays');

    await installOperator(cluster);
    await apply(cluster, 'default', registry('stays', { logging: { level: 'Debug' } }));
    await waitUntilReady(cluster, 'default', 'stays');
    expect(
      (await list(cluster, 'default', 'pods', 'registry-operator.dev/registry=stays'))[0]?.metadata.uid,
    ).toBe(pod?.metadata.uid);
  });
});
