import { beforeAll, describe, expect, it } from 'vitest';

import type { Cluster } from '../cluster/cluster.ts';
import { crane, reach, Workspace } from './support/clients.ts';
import { sharedCluster } from './support/environment.ts';
import {
  apply,
  createNamespace,
  eventually,
  get,
  list,
  registry,
  waitUntilReady,
} from './support/objects.ts';

const NAMESPACE = 'deletion';
const CLAIM = { type: 'Filesystem', filesystem: { volumeClaim: { size: '1Gi' } } };

describe('a deleted Registry', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await sharedCluster();
    await createNamespace(cluster, NAMESPACE);
  });

  async function remove(name: string): Promise<void> {
    await cluster.kubectl(['-n', NAMESPACE, 'delete', 'registry', name, '--timeout=60s']);
    await eventually(
      'its Pods to go',
      60,
      async () =>
        (await list(cluster, NAMESPACE, 'pods', `registry-operator.dev/registry=${name}`)).length === 0,
    );
  }

  it('leaves its claim, and a new one of its name finds the content', async () => {
    await using work = await Workspace.create();
    await apply(cluster, NAMESPACE, registry('kept', { storage: CLAIM }));
    await waitUntilReady(cluster, NAMESPACE, 'kept');
    const before = await reach(cluster, NAMESPACE, 'kept');
    await crane(
      ['push', await work.image(`${before.host}/app:1`), `${before.host}/app:1`],
      await work.clientOf(before),
    );
    const claim = await get(cluster, NAMESPACE, 'persistentvolumeclaim', 'kept-data');

    await remove('kept');
    const left = await cluster.kubectl([
      '-n',
      NAMESPACE,
      'get',
      'all,secrets,configmaps,serviceaccounts',
      '-l',
      'registry-operator.dev/registry=kept',
      '-o',
      'name',
    ]);
    expect((await get(cluster, NAMESPACE, 'persistentvolumeclaim', 'kept-data')).metadata.uid).toBe(
      claim.metadata.uid,
    );
    expect(left).toBe('');

    await apply(cluster, NAMESPACE, registry('kept', { storage: CLAIM }));
    await waitUntilReady(cluster, NAMESPACE, 'kept');
    const after = await reach(cluster, NAMESPACE, 'kept');
    expect(await crane(['ls', `${after.host}/app`], await work.clientOf(after))).toBe('1\n');
  });

  it('takes its claim along when it says so', async () => {
    await apply(cluster, NAMESPACE, registry('dropped', { storage: CLAIM, deletionPolicy: 'Delete' }));
    await waitUntilReady(cluster, NAMESPACE, 'dropped');

    await remove('dropped');

    const claims = await eventually('the claim to go', 30, async () => {
      const left = await list(
        cluster,
        NAMESPACE,
        'persistentvolumeclaims',
        'registry-operator.dev/registry=dropped',
      );
      return left.length === 0 && left;
    });

    expect(claims).toEqual([]);
  });
});
