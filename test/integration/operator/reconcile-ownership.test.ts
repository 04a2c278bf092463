import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { KINDS } from '../../../src/operator/kube/kinds.ts';
import { claimOf, Cluster, OWNED, registryOf, secretOf } from './cluster.ts';
import { REGISTRY } from './harness.ts';

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start();
});

afterEach(() => cluster.stopOperators());

afterAll(() => cluster?.stop());

describe('foreign objects', () => {
  test('are never overwritten, and the Registry goes on when they are gone', async () => {
    const namespace = await cluster.newNamespace();
    const foreign = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'reg-ca', namespace },
      data: { 'ca.crt': 'theirs' },
    };
    const theirs = secretOf(namespace, 'reg-tls', { 'tls.crt': 'theirs' });
    await cluster.admin.create(KINDS.configMap, foreign);
    await cluster.admin.create(KINDS.secret, theirs);
    const operator = await cluster.operate(namespace);

    await cluster.admin.create(REGISTRY, registryOf(namespace, {}));
    await cluster.untilCondition(namespace, 'CertificateReady', 'ObjectConflict');
    await cluster.untilSettled(operator, namespace);

    expect(await cluster.get(KINDS.configMap, namespace, 'reg-ca')).toMatchObject({
      data: { 'ca.crt': 'theirs' },
    });
    expect(await cluster.secretValue(namespace, 'reg-tls', 'tls.crt')).toBe('theirs');
    await cluster.admin.delete(KINDS.secret, { namespace, name: 'reg-tls' });
    await cluster.admin.delete(KINDS.configMap, { namespace, name: 'reg-ca' });
    await operator.reconcile(`${namespace}/reg`);
    await cluster.untilCondition(namespace, 'CertificateReady', 'Issued');
  });
});

describe('deletion', () => {
  const ours = {
    'app.kubernetes.io/managed-by': 'registry-operator',
    'registry-operator.dev/registry': 'reg',
  };

  test('keeps the claim, and a new Registry of the name adopts it', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);
    await cluster.admin.create(REGISTRY, registryOf(namespace, {}));
    await cluster.untilSettled(operator, namespace);
    const { uid } = (await cluster.get(KINDS.persistentVolumeClaim, namespace, 'reg-data')).metadata;

    await cluster.deleteRegistry(namespace);
    await Promise.all(
      OWNED.filter((kind) => kind !== KINDS.persistentVolumeClaim).flatMap((kind) =>
        ['reg', 'reg-config', 'reg-ca', 'reg-tls'].map((name) =>
          cluster.admin.delete(kind, { namespace, name }),
        ),
      ),
    );
    await cluster.admin.create(REGISTRY, registryOf(namespace, {}));
    await cluster.untilSettled(operator, namespace);

    expect((await cluster.get(KINDS.persistentVolumeClaim, namespace, 'reg-data')).metadata.uid).toBe(uid);
    expect(operator.events.map(({ reason }) => reason)).toContain('ClaimAdopted');
    expect(await cluster.condition(namespace, 'Ready')).toMatchObject({ reason: 'WaitingForPods' });
  });

  test('waits for the objects of a former Registry of the name', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);
    await cluster.admin.create(REGISTRY, registryOf(namespace, {}));
    await cluster.untilSettled(operator, namespace);

    await cluster.deleteRegistry(namespace);
    await cluster.admin.create(REGISTRY, registryOf(namespace, {}));

    await cluster.untilCondition(namespace, 'Ready', 'ObjectTerminating');
    expect(await cluster.condition(namespace, 'Ready')).toMatchObject({ status: 'False' });
  });

  test.each([
    [
      'deletes the claim that the operator made',
      { spec: { deletionPolicy: 'Delete' }, name: 'reg-data', labels: ours, kept: false },
    ],
    [
      'never deletes an existing claim',
      {
        spec: {
          deletionPolicy: 'Delete',
          storage: { type: 'Filesystem', filesystem: { existingClaim: { name: 'theirs' } } },
        },
        name: 'theirs',
        labels: {},
        kept: true,
      },
    ],
    [
      'never deletes a claim of an earlier Registry that it does not use',
      {
        spec: { deletionPolicy: 'Delete', storage: { type: 'Ephemeral' } },
        name: 'reg-data',
        labels: ours,
        kept: true,
      },
    ],
    [
      'never deletes a claim of an earlier Registry that it uses as an existing one',
      {
        spec: {
          deletionPolicy: 'Delete',
          storage: { type: 'Filesystem', filesystem: { existingClaim: { name: 'reg-data' } } },
        },
        name: 'reg-data',
        labels: ours,
        kept: true,
      },
    ],
    [
      'never deletes a foreign claim of the name',
      { spec: { deletionPolicy: 'Delete' }, name: 'reg-data', labels: { mine: 'yes' }, kept: true },
    ],
  ])('%s', async (_, { spec, name, labels, kept }) => {
    const namespace = await cluster.newNamespace();
    await cluster.admin.create(
      KINDS.persistentVolumeClaim,
      claimOf(namespace, name, 'ReadWriteOnce', labels),
    );
    const operator = await cluster.operate(namespace);
    await cluster.admin.create(REGISTRY, registryOf(namespace, spec));
    await cluster.untilSettled(operator, namespace);

    await cluster.deleteRegistry(namespace);

    const left = await cluster.find(KINDS.persistentVolumeClaim, namespace, name);
    expect(left !== undefined && left.metadata.deletionTimestamp === undefined).toBe(kept);
  });
});
