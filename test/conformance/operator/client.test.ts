import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { Applier } from '../../../src/operator/kube/apply.ts';
import { ApiError, isConflict, NotLeaderError, TransportError } from '../../../src/operator/kube/errors.ts';
import { EventWriter } from '../../../src/operator/kube/events.ts';
import { addFinalizer, removeFinalizer } from '../../../src/operator/kube/finalizer.ts';
import { KINDS } from '../../../src/operator/kube/kinds.ts';
import { Transport } from '../../../src/operator/kube/transport.ts';
import type { KubeObject } from '../../../src/operator/kube/types.ts';
import { createOperatorMetrics } from '../../../src/operator/metrics.ts';
import { systemClock } from '../../../src/shared/clock.ts';
import { statusBody } from '../../servers/fault-proxy.ts';
import { configFor, configMap, Environment, silent, until } from './environment.ts';

const FIELD_MANAGER = 'conformance';
const ANNOTATION = 'registry-operator.dev/applied-hash';

let environment: Environment;

beforeAll(async () => {
  environment = await Environment.start();
});

afterEach(() => environment.proxy.clear());

afterAll(() => environment?.stop());

function isFor(name: string) {
  return ({ path }: { path: string }): boolean => path.includes(`/${name}`);
}

describe('the client', () => {
  test('makes 200 calls over few connections', async () => {
    const namespace = await environment.namespace();
    const client = environment.client();
    await client.create(KINDS.configMap, configMap(namespace, 'a'));
    const before = environment.proxy.connections;

    for (let round = 0; round < 100; round += 1) {
      const read = (): Promise<unknown> => client.get(KINDS.configMap, { namespace, name: 'a' });
      await Promise.all([read(), read()]);
    }

    expect(environment.proxy.connections - before).toBeLessThanOrEqual(2);
    expect(client.requestCounts.get('get configmaps')).toBe(200);
  });

  test('opens new connections when the trusted CA changes, and closes the old ones', async () => {
    const proxy = await environment.anotherProxy();
    const config = configFor(proxy);
    let suffix = '';
    const transport = new Transport({
      config: {
        getCurrentCluster: () => config.getCurrentCluster(),
        applyToHTTPSOptions: async (options) => {
          await config.applyToHTTPSOptions(options);
          options.ca = `${proxy.ca}${suffix}`;
        },
      },
      userAgent: 'conformance',
    });
    const call = { method: 'GET', path: '/version', timeoutMs: 5000 } as const;
    await transport.send(call);
    await transport.send(call);
    expect(proxy.connections).toBe(1);

    suffix = proxy.ca;
    const answer = await transport.send(call);
    await until('the old connection is closed', () => proxy.openConnections === 1);

    expect(answer.status).toBe(200);
    expect(proxy.connections).toBe(2);
    transport.close();
    await until('all are closed', () => proxy.openConnections === 0);
  });

  test('finds a missing object to be undefined, and deletes it as false', async () => {
    const key = { namespace: 'default', name: 'missing' };
    const client = environment.client();

    await expect(client.get(KINDS.configMap, key)).resolves.toBeUndefined();
    await expect(client.delete(KINDS.configMap, key)).resolves.toBe(false);
  });

  test('never repeats what the API server quotes of a Secret', async () => {
    const client = environment.client();
    const bad = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace: 'default', name: 'quoted' },
      data: { 'bad key!': 'aGVsbG8=', password: 'hunter2!' },
    };
    const worse = { ...bad, data: { 'bad/key': 'aGVsbG8=' } };

    const unreadable: unknown = await client.create(KINDS.secret, bad).catch((error: unknown) => error);
    const invalid: unknown = await client.create(KINDS.secret, worse).catch((error: unknown) => error);

    expect(unreadable).toMatchObject({ status: 400 });
    expect(JSON.stringify([unreadable, String(unreadable)])).not.toContain('hunter2');
    expect(invalid).toMatchObject({ status: 422, message: 'Invalid; data[bad/key]: FieldValueInvalid' });
  });

  test('tells why a call was refused', async () => {
    const client = environment.client();

    const refused = client.create(KINDS.configMap, configMap('default', 'Not_A_Name'));

    await expect(refused).rejects.toBeInstanceOf(ApiError);
    await expect(refused).rejects.toMatchObject({
      status: 422,
      reason: 'Invalid',
      message: expect.stringContaining('metadata.name'),
      details: { kind: 'ConfigMap' },
    });
  });

  test('sends again after 429 and 503 with Retry-After, and only then', async () => {
    const client = environment.client();
    const key = { namespace: 'default', name: 'patient' };
    const headers = { 'retry-after': '1' };
    environment.proxy.inject(isFor('patient'), { type: 'answer', status: 429, headers });
    environment.proxy.inject(isFor('patient'), { type: 'answer', status: 503, headers });
    const start = performance.now();

    await expect(client.get(KINDS.configMap, key)).resolves.toBeUndefined();
    expect(performance.now() - start).toBeGreaterThan(1900);

    const body = statusBody(500, 'InternalError', 'etcd is away');
    environment.proxy.inject(isFor('patient'), { type: 'answer', status: 500, headers, body });
    await expect(client.get(KINDS.configMap, key)).rejects.toMatchObject({
      status: 500,
      reason: 'InternalError',
      message: 'etcd is away',
      retryAfter: 1,
    });
  });

  test('says that there was no answer, and does not repeat a write by itself', async () => {
    const namespace = await environment.namespace();
    const client = environment.client({ timeoutMs: 300 });
    environment.proxy.inject(isFor('configmaps'), { type: 'reset' });
    environment.proxy.inject(isFor('configmaps'), { type: 'hang' });
    environment.proxy.inject(isFor('configmaps'), { type: 'lose' });
    const write = (name: string): Promise<unknown> =>
      client.create(KINDS.configMap, configMap(namespace, name));

    await expect(write('reset')).rejects.toBeInstanceOf(TransportError);
    await expect(write('hang')).rejects.toThrow('no answer within 300 ms');
    await expect(write('lost')).rejects.toBeInstanceOf(TransportError);

    const present = await client.list(KINDS.configMap, { namespace });
    expect(present.items.map(({ metadata }) => metadata.name)).toEqual(['lost']);
  });

  test('reads again when a kept connection turns out to be closed', async () => {
    const client = environment.client();
    const key = { namespace: 'default', name: 'kept' };
    await client.get(KINDS.configMap, key);
    environment.proxy.inject(isFor('kept'), { type: 'reset' });

    await expect(client.get(KINDS.configMap, key)).resolves.toBeUndefined();
  });

  test('ends a call when its signal is aborted', async () => {
    const client = environment.client();
    environment.proxy.inject(isFor('slow'), { type: 'hang' });
    const controller = new AbortController();
    const reason = new Error('no longer wanted');

    const call = client.get(
      KINDS.configMap,
      { namespace: 'default', name: 'slow' },
      { signal: controller.signal },
    );
    setTimeout(() => controller.abort(reason), 50);

    await expect(call).rejects.toBe(reason);
  });

  test('writes nothing without the lease, and reads all the same', async () => {
    const namespace = await environment.namespace();
    const client = environment.client({
      mustHoldLease: () => {
        throw new NotLeaderError();
      },
    });
    const object = configMap(namespace, 'a');
    const key = { namespace, name: 'a' };

    await expect(client.create(KINDS.configMap, object)).rejects.toBeInstanceOf(NotLeaderError);
    await expect(client.replace(KINDS.configMap, object)).rejects.toBeInstanceOf(NotLeaderError);
    await expect(client.apply(KINDS.configMap, object, { fieldManager: 'x' })).rejects.toBeInstanceOf(
      NotLeaderError,
    );
    await expect(client.mergePatch(KINDS.configMap, key, {})).rejects.toBeInstanceOf(NotLeaderError);
    await expect(client.delete(KINDS.configMap, key)).rejects.toBeInstanceOf(NotLeaderError);
    await expect(client.get(KINDS.configMap, key)).resolves.toBeUndefined();
    expect(environment.proxy.seen(({ method, path }) => method !== 'GET' && path.includes(namespace))).toBe(
      0,
    );
  });

  test('knows which kinds are served, and asks once for each', async () => {
    const client = environment.client();
    const before = environment.proxy.seen(({ path }) => path === '/apis/apps/v1');

    await expect(client.serves(KINDS.deployment)).resolves.toBe(true);
    await expect(client.serves(KINDS.deployment)).resolves.toBe(true);
    await expect(client.serves({ ...KINDS.deployment, plural: 'nonsenses' })).resolves.toBe(false);
    await expect(client.serves({ ...KINDS.deployment, apiVersion: 'nonsense.dev/v1' })).resolves.toBe(false);
    await expect(client.serves(KINDS.pod)).resolves.toBe(true);

    expect(environment.proxy.seen(({ path }) => path === '/apis/apps/v1') - before).toBe(2);
  });

  test('deletes only the object of the UID', async () => {
    const namespace = await environment.namespace();
    const client = environment.client();
    const key = { namespace, name: 'a' };
    const first = await client.create(KINDS.configMap, configMap(namespace, 'a'));
    await client.delete(KINDS.configMap, key);
    const second = await client.create(KINDS.configMap, configMap(namespace, 'a'));

    await expect(client.delete(KINDS.configMap, key, { uid: first.metadata.uid ?? '' })).resolves.toBe(false);
    await expect(client.get(KINDS.configMap, key)).resolves.toMatchObject({
      metadata: { uid: second.metadata.uid },
    });
    await expect(client.delete(KINDS.configMap, key, { uid: second.metadata.uid ?? '' })).resolves.toBe(true);
  });

  test('meets a conflict when it replaces an old version', async () => {
    const namespace = await environment.namespace();
    const client = environment.client();
    const first = await client.create(KINDS.configMap, configMap(namespace, 'a'));
    await client.replace(KINDS.configMap, { ...first, data: { x: '1' } });

    const error = await client
      .replace(KINDS.configMap, { ...first, data: { x: '2' } })
      .catch((thrown) => thrown);

    expect(isConflict(error)).toBe(true);
  });
});

function deployment(namespace: string, cpu = '100m'): KubeObject {
  const labels = { app: 'a' };
  const container = { name: 'main', image: 'example.org/a:1', resources: { requests: { cpu } } };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace, name: 'a' },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [container] } },
    },
  };
}

function service(namespace: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name: 'a' },
    spec: { selector: { app: 'a' }, ports: [{ name: 'http', port: 80 }] },
  };
}

function secret(namespace: string): KubeObject {
  const data = { key: Buffer.from('value').toString('base64') };
  return { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name: 'a' }, type: 'Opaque', data };
}

const APPLIED = [
  ['Deployment', KINDS.deployment, deployment, { spec: { replicas: 5, minReadySeconds: 7 } }],
  ['Service', KINDS.service, service, { spec: { selector: { app: 'other' } } }],
  ['Secret', KINDS.secret, secret, { data: { key: Buffer.from('stolen').toString('base64') } }],
] as const;

describe('an apply', () => {
  test.each(APPLIED)(
    'of a %s is written once, and again after a change of what we own',
    async (...[, kind, make, change]) => {
      const namespace = await environment.namespace();
      const client = environment.client();
      const applier = new Applier({ client, fieldManager: FIELD_MANAGER, annotation: ANNOTATION });
      const key = { namespace, name: 'a' };
      const desired = kind === KINDS.deployment ? withReplicas(make(namespace)) : make(namespace);
      const live = (): Promise<KubeObject | undefined> => client.get(kind, key);

      const first = await applier.applyIfChanged(kind, desired, undefined);
      const second = await applier.applyIfChanged(kind, desired, await live());
      await environment.direct.mergePatch(kind, key, change);
      const third = await applier.applyIfChanged(kind, desired, await live());
      const fourth = await applier.applyIfChanged(kind, desired, await live());

      expect([first.written, second.written, third.written, fourth.written]).toEqual([
        true,
        false,
        true,
        false,
      ]);
      expect(await live()).toMatchObject(desired);
    },
  );

  test.each(APPLIED)('of a %s is not repeated by a new process', async (...[, kind, make]) => {
    const namespace = await environment.namespace();
    const client = environment.client();
    const options = { client, fieldManager: FIELD_MANAGER, annotation: ANNOTATION };
    await new Applier(options).applyIfChanged(kind, make(namespace), undefined);
    const restarted = new Applier(options);
    const live = await client.get(kind, { namespace, name: 'a' });

    const outcome = await restarted.applyIfChanged(kind, make(namespace), live);

    expect(outcome.written).toBe(false);
  });

  test('is repeated once by a new process when the API server stores a value in another form', async () => {
    const namespace = await environment.namespace();
    const client = environment.client();
    const options = { client, fieldManager: FIELD_MANAGER, annotation: ANNOTATION };
    const desired = deployment(namespace, '1000m');
    await new Applier(options).applyIfChanged(KINDS.deployment, desired, undefined);
    const restarted = new Applier(options);
    const live = await client.get(KINDS.deployment, { namespace, name: 'a' });

    const once = await restarted.applyIfChanged(KINDS.deployment, desired, live);
    const again = await restarted.applyIfChanged(KINDS.deployment, desired, once.object);

    expect(once.object.metadata.resourceVersion).toBe(live?.metadata.resourceVersion);
    expect([once.written, again.written]).toEqual([true, false]);
  });

  test('is not repeated while the store still shows the object as it was before', async () => {
    const namespace = await environment.namespace();
    const client = environment.client();
    const applier = new Applier({ client, fieldManager: FIELD_MANAGER, annotation: ANNOTATION });
    const before = await applier.applyIfChanged(KINDS.service, service(namespace), undefined);
    const desired = {
      ...service(namespace),
      spec: { selector: { app: 'new' }, ports: [{ name: 'http', port: 81 }] },
    };

    const first = await applier.applyIfChanged(KINDS.service, desired, before.object);
    const second = await applier.applyIfChanged(KINDS.service, desired, before.object);

    expect([first.written, second.written]).toEqual([true, false]);
    expect(second.object.metadata.resourceVersion).toBe(first.object.metadata.resourceVersion);
  });

  test('removes a field that is no longer desired, and leaves those of others', async () => {
    const namespace = await environment.namespace();
    const client = environment.client();
    const applier = new Applier({ client, fieldManager: FIELD_MANAGER, annotation: ANNOTATION });
    const key = { namespace, name: 'a' };
    const first = await applier.applyIfChanged(
      KINDS.configMap,
      configMap(namespace, 'a', { mine: '1', old: '1' }),
      undefined,
    );
    await environment.direct.mergePatch(KINDS.configMap, key, { data: { theirs: '1' } });

    await applier.applyIfChanged(KINDS.configMap, configMap(namespace, 'a', { mine: '1' }), first.object);

    expect(await client.get(KINDS.configMap, key)).toMatchObject({ data: { mine: '1', theirs: '1' } });
    expect(await client.get(KINDS.configMap, key)).not.toHaveProperty('data.old');
  });
});

function withReplicas(object: KubeObject): KubeObject {
  return { ...object, spec: { ...(object['spec'] as object), replicas: 2 } };
}

describe('finalizers', () => {
  test('keep a deleted object until the finalizer is removed', async () => {
    const namespace = await environment.namespace();
    const client = environment.client();
    const finalizer = 'registry-operator.dev/finalizer';
    const key = { namespace, name: 'a' };
    const created = await client.create(KINDS.configMap, configMap(namespace, 'a'));

    const held = await addFinalizer(client, KINDS.configMap, created, { finalizer });
    await client.delete(KINDS.configMap, key);
    const deleted = await client.get(KINDS.configMap, key);

    expect(held.metadata.finalizers).toEqual([finalizer]);
    expect(deleted?.metadata.deletionTimestamp).toBeDefined();
    await expect(removeFinalizer(client, KINDS.configMap, created, { finalizer })).resolves.toBe(true);
    await expect(client.get(KINDS.configMap, key)).resolves.toBeDefined();
    if (!deleted) throw new Error('the object is gone');
    await expect(removeFinalizer(client, KINDS.configMap, deleted, { finalizer })).resolves.toBe(true);
    await expect(client.get(KINDS.configMap, key)).resolves.toBeUndefined();
    await expect(removeFinalizer(client, KINDS.configMap, deleted, { finalizer })).resolves.toBe(false);
  });

  test('never undo a finalizer that somebody else has added meanwhile', async () => {
    const namespace = await environment.namespace();
    const client = environment.client();
    const finalizer = 'registry-operator.dev/finalizer';
    const created = await client.create(KINDS.configMap, configMap(namespace, 'a'));
    await addFinalizer(client, KINDS.configMap, created, { finalizer: 'example.org/theirs' });

    const error = await addFinalizer(client, KINDS.configMap, created, { finalizer }).catch(
      (thrown) => thrown,
    );

    expect(isConflict(error)).toBe(true);
  });
});

describe('events', () => {
  test('are written once and counted when they repeat', async () => {
    const namespace = await environment.namespace();
    const client = environment.client();
    const events = new EventWriter({
      client,
      reportingController: 'registry-operator.dev/operator',
      reportingInstance: 'conformance',
      clock: systemClock,
      logger: silent,
      metrics: createOperatorMetrics(),
    });
    const regarding = await client.create(KINDS.configMap, configMap(namespace, 'a'));
    const event = { type: 'Warning', reason: 'Broken', action: 'Check', note: 'spec.x: is missing' } as const;

    for (let round = 0; round < 3; round += 1) events.event(regarding, event);
    events.event(regarding, { ...event, type: 'Normal', reason: 'Mended' });
    await events.flush();

    const { items } = await client.list(KINDS.event, { namespace });
    expect(items).toHaveLength(2);
    expect(items.find((item) => item['reason'] === 'Broken')).toMatchObject({
      ...event,
      series: { count: 3 },
      regarding: { kind: 'ConfigMap', name: 'a', uid: regarding.metadata.uid },
    });
  });

  test('that cannot be written stop nothing', async () => {
    const client = environment.client();
    const metrics = createOperatorMetrics();
    const events = new EventWriter({
      client,
      reportingController: 'registry-operator.dev/operator',
      reportingInstance: 'conformance',
      clock: systemClock,
      logger: silent,
      metrics,
    });

    events.event(configMap('no-such-namespace', 'a'), {
      type: 'Normal',
      reason: 'A',
      action: 'B',
      note: 'c',
    });
    await events.flush();

    expect(await metrics.registry.metrics()).toContain('dropped_events_total{reason="error"} 1');
  });
});
