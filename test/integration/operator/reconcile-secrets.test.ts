import { X509Certificate } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { CREDENTIAL_FILES } from '../../../src/api/loaded-hash.ts';
import { read, readText } from '../../../src/operator/controllers/registry/read.ts';
import { KINDS } from '../../../src/operator/kube/kinds.ts';
import type { Clock } from '../../../src/shared/clock.ts';
import { Cluster, encode, registryOf, secretOf } from './cluster.ts';
import { REGISTRY, until } from './harness.ts';

const BCRYPT = `$2b$10$${'a'.repeat(53)}`;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start();
});

afterEach(() => cluster.stopOperators());

afterAll(() => cluster?.stop());

/** A clock that is ahead of the machine's. */
function clockAhead(days: () => number): Clock {
  return {
    now: () => new Date(Date.now() + days() * 86_400_000),
    monotonic: () => performance.now(),
    sleep: (ms) => delay(ms),
  };
}

describe('certificates', () => {
  test('are issued anew for another address of the Service, by the same CA', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);
    await cluster.admin.create(REGISTRY, registryOf(namespace, {}));
    await cluster.untilSettled(operator, namespace);
    const [ca, leaf] = [
      await cluster.secretValue(namespace, 'reg-ca', 'tls.crt'),
      await cluster.secretValue(namespace, 'reg-tls', 'tls.crt'),
    ];
    const uid = (await cluster.get(KINDS.service, namespace)).metadata.uid;

    await cluster.admin.create(KINDS.service, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'other', namespace },
      spec: { ports: [{ port: 1 }] },
    });
    await cluster.admin.delete(KINDS.service, { namespace, name: 'reg' });
    await until(
      async () => ((await cluster.find(KINDS.service, namespace))?.metadata.uid ?? uid) !== uid,
      'a new Service',
    );
    const address = readText(await cluster.get(KINDS.service, namespace), 'spec', 'clusterIP') ?? '';
    await until(
      async () =>
        new X509Certificate(await cluster.secretValue(namespace, 'reg-tls', 'tls.crt')).checkIP(address) ===
        address,
      'a certificate for the new address',
    );

    expect(await cluster.secretValue(namespace, 'reg-ca', 'tls.crt')).toBe(ca);
    expect(await cluster.secretValue(namespace, 'reg-tls', 'tls.crt')).not.toBe(leaf);
  });

  test('are renewed in time, without a restart of pods', async () => {
    const namespace = await cluster.newNamespace();
    let days = 0;
    const clock = clockAhead(() => days);
    const operator = await cluster.operate(namespace, { clock });
    await cluster.admin.create(REGISTRY, registryOf(namespace, {}));
    await cluster.untilSettled(operator, namespace);
    const { generation } = (await cluster.get(KINDS.deployment, namespace)).metadata;
    const [ca, leaf] = [
      await cluster.secretValue(namespace, 'reg-ca', 'tls.crt'),
      await cluster.secretValue(namespace, 'reg-tls', 'tls.crt'),
    ];

    days = 59;
    await operator.reconcile(`${namespace}/reg`);
    const kept = await cluster.secretValue(namespace, 'reg-tls', 'tls.crt');
    days = 61;
    await operator.reconcile(`${namespace}/reg`);
    await cluster.untilSettled(operator, namespace);

    expect(kept).toBe(leaf);
    expect(await cluster.secretValue(namespace, 'reg-tls', 'tls.crt')).not.toBe(leaf);
    expect(await cluster.secretValue(namespace, 'reg-ca', 'tls.crt')).toBe(ca);
    expect((await cluster.get(KINDS.deployment, namespace)).metadata.generation).toBe(generation);
  });

  test('are made anew when somebody deletes both Secrets', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);
    await cluster.admin.create(REGISTRY, registryOf(namespace, {}));
    await cluster.untilSettled(operator, namespace);
    const ca = await cluster.secretValue(namespace, 'reg-ca', 'tls.crt');

    await cluster.admin.delete(KINDS.secret, { namespace, name: 'reg-ca' });
    await cluster.admin.delete(KINDS.secret, { namespace, name: 'reg-tls' });
    await until(
      async () => (await cluster.find(KINDS.secret, namespace, 'reg-tls')) !== undefined,
      'a new certificate',
    );
    await cluster.untilSettled(operator, namespace);

    const authority = new X509Certificate(await cluster.secretValue(namespace, 'reg-ca', 'tls.crt'));
    expect(authority.toString().trim()).not.toBe(ca.trim());
    expect(
      new X509Certificate(await cluster.secretValue(namespace, 'reg-tls', 'tls.crt')).verify(
        authority.publicKey,
      ),
    ).toBe(true);
  });
});

describe('Secrets of users', () => {
  const basic = { auth: { basic: { htpasswdSecretRefs: [{ name: 'users' }] } } };

  test('are waited for and named, then taken', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);
    await cluster.admin.create(REGISTRY, registryOf(namespace, basic));
    await cluster.untilCondition(namespace, 'Ready', 'SecretNotFound');
    expect(await cluster.condition(namespace, 'ConfigApplied')).toMatchObject({
      message: 'spec.auth.basic.htpasswdSecretRefs[0]: Secret "users" not found',
    });
    expect(await cluster.find(KINDS.deployment, namespace)).toBeUndefined();
    expect(operator.events).toContainEqual(
      expect.objectContaining({ type: 'Warning', reason: 'SecretNotFound' }),
    );

    await cluster.admin.create(KINDS.secret, secretOf(namespace, 'users', { htpasswd: `alice:${BCRYPT}` }));
    await cluster.untilCondition(namespace, 'Ready', 'WaitingForPods');

    expect(await cluster.find(KINDS.deployment, namespace)).toBeDefined();
  });

  test('change the wanted hash and nothing else when they rotate', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);
    await cluster.admin.create(KINDS.secret, secretOf(namespace, 'users', { htpasswd: `alice:${BCRYPT}` }));
    await cluster.admin.create(REGISTRY, registryOf(namespace, basic));
    await cluster.untilSettled(operator, namespace);
    const hash = read(await cluster.get(REGISTRY, namespace), 'status', 'config', 'hash');
    const before = operator.writes.length;

    await cluster.admin.mergePatch(
      KINDS.secret,
      { namespace, name: 'users' },
      { data: secretOf('', '', { htpasswd: `bob:${BCRYPT}` })['data'] },
    );
    await until(
      async () => read(await cluster.get(REGISTRY, namespace), 'status', 'config', 'hash') !== hash,
      'another hash',
    );
    await cluster.untilSettled(operator, namespace);

    expect(operator.writes.slice(before)).toEqual(['apply registries/status']);
  });

  test('that break leave what runs alone', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);
    await cluster.admin.create(KINDS.secret, secretOf(namespace, 'users', { htpasswd: `alice:${BCRYPT}` }));
    await cluster.admin.create(REGISTRY, registryOf(namespace, basic));
    await cluster.untilSettled(operator, namespace);
    const { generation } = (await cluster.get(KINDS.deployment, namespace)).metadata;

    await cluster.admin.delete(KINDS.secret, { namespace, name: 'users' });
    await cluster.untilCondition(namespace, 'Ready', 'SecretNotFound');
    await cluster.patch(namespace, { image: 'registry:other', replicas: 0 });
    await cluster.untilSettled(operator, namespace);

    expect((await cluster.get(KINDS.deployment, namespace)).metadata.generation).toBe(generation);
    expect(await cluster.condition(namespace, 'Progressing')).toMatchObject({ reason: 'Blocked' });
  });

  test('with the credentials of a bucket are named key by key', async () => {
    const namespace = await cluster.newNamespace();
    await cluster.operate(namespace);
    const s3 = {
      bucket: 'images',
      region: 'eu',
      credentialsSecretRef: { name: 'keys' },
      caBundleRef: { name: 'ca' },
    };
    await cluster.admin.create(
      KINDS.secret,
      secretOf(namespace, 'keys', { [CREDENTIAL_FILES[0]]: 'topsecret' }),
    );

    await cluster.admin.create(REGISTRY, registryOf(namespace, { storage: { type: 'S3', s3 } }));
    await cluster.untilCondition(namespace, 'StorageReady', 'SecretKeyNotFound');

    expect(JSON.stringify(await cluster.get(REGISTRY, namespace))).not.toContain('topsecret');
    await cluster.admin.mergePatch(
      KINDS.secret,
      { namespace, name: 'keys' },
      { data: encode({ [CREDENTIAL_FILES[1]]: 'x' }) },
    );
    await cluster.untilCondition(namespace, 'StorageReady', 'ConfigMapNotFound');
  });

  test('with a certificate are served, and a broken one is told', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);
    await cluster.admin.create(REGISTRY, registryOf(namespace, {}));
    await cluster.untilSettled(operator, namespace);
    const pair = {
      'tls.crt': await cluster.secretValue(namespace, 'reg-tls', 'tls.crt'),
      'tls.key': await cluster.secretValue(namespace, 'reg-tls', 'tls.key'),
      'ca.crt': await cluster.secretValue(namespace, 'reg-ca', 'tls.crt'),
    };
    const own = { tls: { type: 'Secret', secretRef: { name: 'own' } } };

    const otherKey = await cluster.secretValue(namespace, 'reg-ca', 'tls.key');
    await cluster.admin.create(KINDS.secret, secretOf(namespace, 'own', { ...pair, 'tls.key': otherKey }));
    await cluster.patch(namespace, own);
    await cluster.untilCondition(namespace, 'CertificateReady', 'KeyMismatch');
    expect(await cluster.find(KINDS.secret, namespace, 'reg-tls')).toBeDefined();
    await cluster.admin.mergePatch(KINDS.secret, { namespace, name: 'own' }, { data: encode(pair) });
    await cluster.untilCondition(namespace, 'CertificateReady', 'Valid');
    await cluster.bringUpPods(namespace);
    await until(
      async () => (await cluster.find(KINDS.secret, namespace, 'reg-tls')) === undefined,
      'our certificate to go',
    );

    expect(await cluster.get(REGISTRY, namespace)).toMatchObject({
      status: { certificate: { secretName: 'own' }, caConfigMapName: 'reg-ca' },
    });
    expect(readText(await cluster.get(KINDS.configMap, namespace, 'reg-ca'), 'data', 'ca.crt')).toBe(
      pair['ca.crt'],
    );
  });
});

describe('pods', () => {
  test('are asked what they have loaded until all have taken the change over', async () => {
    const namespace = await cluster.newNamespace();
    let loadedHash = 'before';
    const asked: string[] = [];
    const fetch: typeof globalThis.fetch = async (url) => {
      asked.push(new Request(url).url);
      return Response.json({ status: 'ready', loadedHash, version: '1.2.3' });
    };
    const operator = await cluster.operate(namespace, { fetch });
    await cluster.admin.create(REGISTRY, registryOf(namespace));
    await cluster.untilSettled(operator, namespace);
    await createPod(namespace, '10.1.2.3');
    await cluster.untilCondition(namespace, 'ConfigApplied', 'Loading');

    const wanted = readText(await cluster.get(REGISTRY, namespace), 'status', 'config', 'hash') ?? '';
    loadedHash = wanted;
    await cluster.untilCondition(namespace, 'ConfigApplied', 'Loaded');

    expect(new Set(asked)).toEqual(new Set(['http://10.1.2.3:9090/readyz?verbose']));
    expect(await cluster.get(REGISTRY, namespace)).toMatchObject({
      status: { version: '1.2.3', config: { hash: wanted, loadedReplicas: 1 } },
    });
  });

  test('that cannot start are named with their reason', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);
    await cluster.admin.create(REGISTRY, registryOf(namespace));
    await cluster.untilSettled(operator, namespace);
    const waiting = { reason: 'ImagePullBackOff', message: 'no such image' };

    await createPod(namespace, '10.1.2.4', { waiting });
    await until(async () => {
      const ready = await cluster.condition(namespace, 'Ready');
      return readText(ready, 'message')?.includes('pod reg-1: ImagePullBackOff: no such image') === true;
    }, 'the reason to be told');

    expect(await cluster.condition(namespace, 'Ready')).toMatchObject({ reason: 'WaitingForPods' });
  });
});

/** A pod as the Deployment of the Registry would have made it and a kubelet would report it. */
async function createPod(namespace: string, podIP: string, state: object = { running: {} }): Promise<void> {
  const labels = {
    'app.kubernetes.io/managed-by': 'registry-operator',
    'registry-operator.dev/registry': 'reg',
  };
  const image = 'registry:test';
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'reg-1', namespace } };
  await cluster.admin.create(KINDS.pod, {
    ...pod,
    metadata: { ...pod.metadata, labels },
    spec: { containers: [{ name: 'registry', image }] },
  });
  const container = { name: 'registry', image, imageID: '', ready: true, restartCount: 0, state };
  const status = { phase: 'Running', podIP, podIPs: [{ ip: podIP }], containerStatuses: [container] };
  const options = { fieldManager: 'kubelet', subresource: 'status' } as const;
  await cluster.admin.apply(KINDS.pod, { ...pod, status }, options);
}
