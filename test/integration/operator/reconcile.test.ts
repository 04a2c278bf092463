import { createHash, X509Certificate } from 'node:crypto';

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { read, readText } from '../../../src/operator/controllers/registry/read.ts';
import { KINDS } from '../../../src/operator/kube/kinds.ts';
import { claimOf, Cluster, registryOf, SHARED } from './cluster.ts';
import { REGISTRY, until } from './harness.ts';

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start();
});

afterEach(() => cluster.stopOperators());

afterAll(() => cluster?.stop());

describe('a new Registry', () => {
  test('becomes objects, a certificate for the address of its Service, and a status', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);

    await cluster.admin.create(
      REGISTRY,
      registryOf(namespace, { tls: { dnsNames: ['registry.example.com'] } }),
    );
    await cluster.untilSettled(operator, namespace);

    expect(operator.errors).toEqual([]);
    const address = readText(await cluster.get(KINDS.service, namespace), 'spec', 'clusterIP');
    const leaf = new X509Certificate(await cluster.secretValue(namespace, 'reg-tls', 'tls.crt'));
    const names = [
      address,
      '127.0.0.1',
      `reg.${namespace}.svc`,
      `reg.${namespace}.svc.cluster.local`,
      'registry.example.com',
    ];
    const covered = names.map((name) => leaf.checkHost(name ?? '') ?? leaf.checkIP(name ?? ''));
    expect(covered).toEqual(names);
    const ca = readText(await cluster.get(KINDS.configMap, namespace, 'reg-ca'), 'data', 'ca.crt') ?? '';
    expect(leaf.verify(new X509Certificate(ca).publicKey)).toBe(true);
    expect(await cluster.get(REGISTRY, namespace)).toMatchObject({
      metadata: { finalizers: ['registry-operator.dev/finalizer'] },
      status: {
        observedGeneration: 1,
        endpoint: `reg.${namespace}.svc:5000`,
        caConfigMapName: 'reg-ca',
        certificate: { sha256Fingerprint: createHash('sha256').update(leaf.raw).digest('hex') },
        storage: { claimName: 'reg-data' },
      },
    });
    expect(await cluster.condition(namespace, 'Ready')).toMatchObject({
      status: 'False',
      reason: 'WaitingForPods',
    });
    expect(operator.events.map(({ reason }) => reason)).toContain('CertificateIssued');
  });

  test('is ready when its pods are, not before, and waits again after a change', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);
    await cluster.admin.create(REGISTRY, registryOf(namespace, {}));
    await cluster.untilSettled(operator, namespace);

    await cluster.bringUpPods(namespace);
    await cluster.untilCondition(namespace, 'Ready', 'Available');
    await cluster.patch(namespace, { image: 'registry:other' });
    await cluster.untilSettled(operator, namespace);

    expect(await cluster.condition(namespace, 'Ready')).toMatchObject({
      status: 'False',
      observedGeneration: 2,
    });
    await cluster.bringUpPods(namespace);
    await cluster.untilCondition(namespace, 'Ready', 'Available');
    expect(
      read(
        await cluster.get(KINDS.deployment, namespace),
        'spec',
        'template',
        'spec',
        'containers',
        '0',
        'image',
      ),
    ).toBe('registry:other');
  });

  test.each([
    [
      'an emptyDir without TLS',
      { storage: { type: 'Ephemeral', ephemeral: { sizeLimit: '1Gi' } }, tls: { type: 'None' } },
    ],
    [
      'a bucket, three replicas and a full overlay',
      {
        replicas: 3,
        storage: { type: 'S3', s3: { bucket: 'images', region: 'eu' } },
        imagePullPolicy: 'Always',
        imagePullSecrets: [{ name: 'pull' }],
        resources: { requests: { cpu: 1, memory: '1000Mi' }, limits: { memory: '2Gi' } },
        podTemplate: {
          metadata: { labels: { team: 'a' }, annotations: { note: 'b' } },
          spec: {
            nodeSelector: { disk: 'ssd' },
            tolerations: [{ key: 'dedicated', operator: 'Exists' }],
            affinity: {
              podAntiAffinity: {
                preferredDuringSchedulingIgnoredDuringExecution: [
                  { weight: 1, podAffinityTerm: { topologyKey: 'kubernetes.io/hostname' } },
                ],
              },
            },
            topologySpreadConstraints: [
              { maxSkew: 1, topologyKey: 'rack', whenUnsatisfiable: 'DoNotSchedule' },
            ],
            priorityClassName: 'high',
            securityContext: { fsGroup: 2000 },
            terminationGracePeriodSeconds: 600,
          },
        },
      },
    ],
    [
      'a shared volume of a size that Kubernetes writes differently',
      {
        replicas: 2,
        storage: {
          type: 'Filesystem',
          filesystem: { volumeClaim: { size: '1024Mi', accessMode: 'ReadWriteMany' } },
        },
      },
    ],
  ])('on %s is written once and never again', async (_, spec) => {
    const namespace = await cluster.newNamespace();
    const first = await cluster.operate(namespace);
    await cluster.admin.create(REGISTRY, registryOf(namespace, spec));
    await cluster.untilSettled(first, namespace);
    const writes = first.writes.length;

    await first.reconcile(`${namespace}/reg`);
    await first.reconcile(`${namespace}/reg`);
    await first.stop();
    const versions = await cluster.resourceVersions(namespace);
    const second = await cluster.operate(namespace);
    await second.reconcile(`${namespace}/reg`);
    await second.reconcile(`${namespace}/reg`);

    expect(first.errors).toEqual([]);
    expect(first.writes.slice(writes)).toEqual([]);
    expect(await cluster.resourceVersions(namespace)).toEqual(versions);
    const settled = second.writes.length;
    await second.reconcile(`${namespace}/reg`);
    expect(second.writes.slice(settled)).toEqual([]);
  });
});

/** Storage on a claim that somebody has made. */
function existing(name: string): object {
  return { type: 'Filesystem', filesystem: { existingClaim: { name } } };
}

describe('a change', () => {
  test('of replicas makes and removes the budget', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);
    await cluster.admin.create(REGISTRY, registryOf(namespace, { storage: SHARED, replicas: 2 }));
    await cluster.untilSettled(operator, namespace);
    expect(await cluster.get(KINDS.podDisruptionBudget, namespace)).toMatchObject({
      spec: { maxUnavailable: 1 },
    });

    await cluster.patch(namespace, { replicas: 1 });
    await cluster.untilSettled(operator, namespace);

    expect(await cluster.find(KINDS.podDisruptionBudget, namespace)).toBeUndefined();
    expect(await cluster.get(KINDS.deployment, namespace)).toMatchObject({ spec: { replicas: 1 } });
  });

  test('of a shared claim to one that is not switches the strategy', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);
    for (const [name, mode] of [
      ['many', 'ReadWriteMany'],
      ['one', 'ReadWriteOnce'],
    ] as const) {
      await cluster.admin.create(KINDS.persistentVolumeClaim, claimOf(namespace, name, mode));
    }
    await cluster.admin.create(REGISTRY, registryOf(namespace, { storage: existing('many') }));
    await cluster.untilSettled(operator, namespace);
    expect(read(await cluster.get(KINDS.deployment, namespace), 'spec', 'strategy', 'type')).toBe(
      'RollingUpdate',
    );

    await cluster.patch(namespace, { storage: existing('one') });
    await cluster.untilSettled(operator, namespace);

    expect(operator.errors).toEqual([]);
    expect(read(await cluster.get(KINDS.deployment, namespace), 'spec', 'strategy')).toEqual({
      type: 'Recreate',
    });
  });

  test('of the size grows the claim as far as Kubernetes lets it, and tells when it does not', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);
    await cluster.admin.create(REGISTRY, registryOf(namespace, {}));
    await cluster.untilSettled(operator, namespace);

    await cluster.patch(namespace, {
      storage: { filesystem: { volumeClaim: { size: '2Gi' } } },
      logging: { level: 'Debug' },
    });
    await cluster.untilCondition(namespace, 'StorageReady', 'ObjectRefused');

    expect(readText(await cluster.condition(namespace, 'StorageReady'), 'message')).toContain(
      'PersistentVolumeClaim "reg-data" was refused',
    );
    expect(read(await cluster.configOf(namespace), 'logging', 'level')).toBe('Debug');
  });

  test('to plain HTTP removes certificates after the pods have let go of them', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);
    await cluster.admin.create(REGISTRY, registryOf(namespace, {}));
    await cluster.untilSettled(operator, namespace);
    await cluster.bringUpPods(namespace);
    await cluster.untilCondition(namespace, 'Ready', 'Available');

    await cluster.patch(namespace, { tls: { type: 'None' } });
    await cluster.untilSettled(operator, namespace);

    expect(await cluster.find(KINDS.secret, namespace, 'reg-tls')).toBeDefined();
    await cluster.bringUpPods(namespace);
    await until(
      async () => (await cluster.find(KINDS.secret, namespace, 'reg-tls')) === undefined,
      'the certificate to go',
    );
    await cluster.untilSettled(operator, namespace);
    expect(await cluster.find(KINDS.secret, namespace, 'reg-ca')).toBeUndefined();
    expect(await cluster.find(KINDS.configMap, namespace, 'reg-ca')).toBeUndefined();
    expect(await cluster.get(REGISTRY, namespace)).not.toHaveProperty('status.certificate');
  });

  test('by somebody else is undone, and what others own stays', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);
    await cluster.admin.create(REGISTRY, registryOf(namespace, {}));
    await cluster.untilSettled(operator, namespace);

    const key = { namespace, name: 'reg' };
    await cluster.admin.mergePatch(KINDS.deployment, key, {
      metadata: { annotations: { note: 'mine' } },
      spec: { replicas: 7 },
    });
    await cluster.admin.mergePatch(
      KINDS.secret,
      { namespace, name: 'reg-config' },
      { data: { 'config.json': 'e30=' } },
    );
    await cluster.admin.delete(KINDS.configMap, { namespace, name: 'reg-ca' });
    await until(
      async () => read(await cluster.get(KINDS.deployment, namespace), 'spec', 'replicas') === 1,
      'one replica',
    );
    await cluster.untilSettled(operator, namespace);

    expect(await cluster.get(KINDS.deployment, namespace)).toMatchObject({
      metadata: { annotations: { note: 'mine' } },
    });
    expect(await cluster.configOf(namespace)).toHaveProperty('storage');
    expect(await cluster.find(KINDS.configMap, namespace, 'reg-ca')).toBeDefined();
  });

  test('does nothing but the status while the Registry is paused', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);
    await cluster.admin.create(REGISTRY, registryOf(namespace, {}));
    await cluster.untilSettled(operator, namespace);
    const before = operator.writes.length;

    await cluster.patch(namespace, { paused: true, replicas: 0, image: 'registry:other' });
    await cluster.untilCondition(namespace, 'Ready', 'Paused');
    await cluster.untilSettled(operator, namespace);
    const meanwhile = operator.writes.slice(before);
    await cluster.patch(namespace, { paused: null });
    await cluster.untilCondition(namespace, 'Ready', 'Stopped');
    await cluster.untilSettled(operator, namespace);

    expect(new Set(meanwhile)).toEqual(new Set(['apply registries/status']));
    expect(await cluster.get(KINDS.deployment, namespace)).toMatchObject({ spec: { replicas: 0 } });
  });
});

describe('a crash', () => {
  const spec = { storage: SHARED, replicas: 2, tls: { dnsNames: ['registry.example.com'] } };

  async function writesOf(namespace: string): Promise<string[]> {
    const operator = await cluster.operate(namespace);
    await cluster.admin.create(REGISTRY, registryOf(namespace, spec));
    await cluster.untilSettled(operator, namespace);
    await operator.stop();
    return [...operator.writes];
  }

  test('after every single write ends in the same objects', async () => {
    const whole = await cluster.newNamespace();
    const writes = await writesOf(whole);
    const expected = await cluster.snapshot(whole);
    expect(writes.length).toBeGreaterThan(8);

    for (let k = 1; k <= writes.length; k += 1) {
      const namespace = await cluster.newNamespace();
      await cluster.admin.create(REGISTRY, registryOf(namespace, spec));
      const first = await cluster.operate(namespace, { dieAfterWrites: k });
      await until(() => first.errors.length > 0 || first.writes.length >= k, `death after write ${k}`);
      await first.stop();
      const ca = await cluster.find(KINDS.secret, namespace, 'reg-ca');

      const second = await cluster.operate(namespace);
      await second.reconcile(`${namespace}/reg`);
      await cluster.untilSettled(second, namespace);
      await second.stop();

      expect(await cluster.snapshot(namespace)).toEqual(expected);
      expect(second.errors).toEqual([]);
      const after = await cluster.get(KINDS.secret, namespace, 'reg-ca');
      expect(ca === undefined || ca.metadata.resourceVersion === after.metadata.resourceVersion).toBe(true);
    }
  });
});
