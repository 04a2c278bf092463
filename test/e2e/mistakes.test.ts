import { beforeAll, describe, expect, it } from 'vitest';

import type { Cluster } from '../cluster/cluster.ts';
import { crane, reach, Workspace } from './support/clients.ts';
import { sharedCluster } from './support/environment.ts';
import {
  apply,
  condition,
  createNamespace,
  eventually,
  get,
  list,
  registry,
  waitUntilReady,
} from './support/objects.ts';

const NAMESPACE = 'mistakes';
const CLAIM = { type: 'Filesystem', filesystem: { volumeClaim: { size: '2Gi' } } };

describe('a mistake in a Registry', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await sharedCluster();
    await createNamespace(cluster, NAMESPACE);
    await apply(cluster, NAMESPACE, registry('works', { storage: CLAIM }));
    await waitUntilReady(cluster, NAMESPACE, 'works');
  });

  async function podUids(): Promise<string[]> {
    const pods = await list(cluster, NAMESPACE, 'pods', 'registry-operator.dev/registry=works');
    return pods.map(({ metadata }) => metadata.uid);
  }

  /** Whether a client can push, now. */
  async function serves(): Promise<boolean> {
    await using work = await Workspace.create();
    const at = await reach(cluster, NAMESPACE, 'works');
    const archive = await work.image(`${at.host}/a:1`);
    await crane(['push', archive, `${at.host}/a:1`], await work.clientOf(at));
    return true;
  }

  it.each([
    [
      'two storage members',
      { storage: { ...CLAIM, s3: { bucket: 'abc', region: 'eu' } } },
      /spec\.storage\.s3: .*set s3 if and only if type is S3/,
    ],
    [
      'a shrunken volume',
      { storage: { type: 'Filesystem', filesystem: { volumeClaim: { size: '1Gi' } } } },
      /size cannot shrink from 2Gi to 1Gi/,
    ],
    ['an unknown field', { storage: CLAIM, replica: 2 }, /unknown field "spec\.replica"/],
  ])('is refused by the API server with its field: %s', async (_what, spec, words) => {
    const before = await podUids();

    await expect(apply(cluster, NAMESPACE, registry('works', spec))).rejects.toThrow(words);

    expect(await podUids()).toEqual(before);
  });

  it.each([
    [
      'a missing Secret',
      { storage: CLAIM, auth: { basic: { htpasswdSecretRefs: [{ name: 'nobody' }] } } },
      /spec\.auth\.basic\.htpasswdSecretRefs\[0\].*nobody.*not found/,
    ],
    [
      'a bad certificate',
      { storage: CLAIM, tls: { type: 'Secret', secretRef: { name: 'bad' } } },
      /spec\.tls\.secretRef/,
    ],
  ])('becomes a condition that names the field, and what runs goes on: %s', async (_what, spec, words) => {
    const bad = { 'tls.crt': 'no certificate', 'tls.key': 'no key' };
    await apply(cluster, NAMESPACE, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'bad' },
      type: 'kubernetes.io/tls',
      stringData: bad,
    });
    const before = await podUids();

    await apply(cluster, NAMESPACE, registry('works', spec));
    const { metadata } = await get(cluster, NAMESPACE, 'registry', 'works');
    const ready = await eventually('the condition', 20, async () => {
      const found = await condition(cluster, NAMESPACE, 'works', 'Ready');
      return found?.status === 'False' && found.observedGeneration === metadata.generation && found;
    });

    expect(ready.message).toMatch(words);
    expect(await podUids()).toEqual(before);
    expect(await serves()).toBe(true);
    await apply(cluster, NAMESPACE, registry('works', { storage: CLAIM }));
    await waitUntilReady(cluster, NAMESPACE, 'works');
    expect(await podUids()).toEqual(before);
  });
});
