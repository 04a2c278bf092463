import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { KINDS } from '../../../src/operator/kube/kinds.ts';
import { Reflector, type ReflectorOptions } from '../../../src/operator/kube/reflector.ts';
import type { StoreChange } from '../../../src/operator/kube/store.ts';
import type { KubeObject } from '../../../src/operator/kube/types.ts';
import { createOperatorMetrics } from '../../../src/operator/metrics.ts';
import { systemClock } from '../../../src/shared/clock.ts';
import { SERVICE_MONITORS } from '../../helpers/service-monitors.ts';
import { statusBody, type Matcher } from '../../servers/fault-proxy.ts';
import { configMap, Environment, silent, until } from './environment.ts';

let environment: Environment;
const running: { controller: AbortController; ended: Promise<void> }[] = [];

beforeAll(async () => {
  environment = await Environment.start();
});

afterEach(async () => {
  for (const { controller } of running) controller.abort();
  for (const { ended } of running.splice(0)) await ended;
  environment.proxy.clear();
  environment.proxy.refuse(false);
});

afterAll(() => environment?.stop());

const isWatch: Matcher = ({ path }) => path.includes('/configmaps?') && path.includes('watch=true');
const isList: Matcher = ({ path }) => path.includes('/configmaps?') && !path.includes('watch=true');
const isContinued: Matcher = ({ path }) => path.includes('continue=');

interface Recording {
  readonly reflector: Reflector;
  readonly changes: StoreChange[];
  stop(): Promise<void>;
  /** `add a`, `update a`, … */
  told(): string[];
}

/** A running reflector of ConfigMaps, with short waits. */
async function reflect(
  namespace: string,
  options: Partial<ReflectorOptions> = {},
  synced = true,
): Promise<Recording> {
  const changes: StoreChange[] = [];
  const reflector = new Reflector({
    client: environment.client(),
    kind: KINDS.configMap,
    namespace,
    onChange: (change) => changes.push(change),
    clock: systemClock,
    random: Math.random,
    logger: silent,
    metrics: createOperatorMetrics(),
    ...options,
    timing: { backoff: { firstMs: 20, maxMs: 200 }, ...options.timing },
  });
  const controller = new AbortController();
  const ended = reflector.run(controller.signal);
  running.push({ controller, ended });
  if (synced) await until('the store has synced', () => reflector.store.hasSynced());
  return {
    reflector,
    changes,
    told: () => changes.map(({ type, object }) => `${type} ${object.metadata.name}`),
    stop: async () => {
      controller.abort();
      await ended;
    },
  };
}

async function create(
  namespace: string,
  name: string,
  data: Record<string, string> = {},
): Promise<KubeObject> {
  return environment.direct.create(KINDS.configMap, configMap(namespace, name, data));
}

/** Creates an object and waits until the reflector knows it: the proof that it works. */
async function expectAlive({ reflector }: Recording, namespace: string, name: string): Promise<void> {
  await create(namespace, name);
  await until(`the reflector has seen ${name}`, () => reflector.store.get({ namespace, name }) !== undefined);
}

describe('a reflector', () => {
  test('lists in pages, then tells every change', async () => {
    const namespace = await environment.namespace();
    for (const name of ['a', 'b', 'c', 'd', 'e']) await create(namespace, name);
    const continued = environment.proxy.seen(isContinued);

    const recording = await reflect(namespace, { timing: { pageSize: 2 } });
    await environment.direct.mergePatch(KINDS.configMap, { namespace, name: 'a' }, { data: { x: '1' } });
    await environment.direct.delete(KINDS.configMap, { namespace, name: 'b' });
    await expectAlive(recording, namespace, 'f');

    expect(environment.proxy.seen(isContinued) - continued).toBe(2);
    expect(recording.told()).toEqual([
      'add a',
      'add b',
      'add c',
      'add d',
      'add e',
      'update a',
      'delete b',
      'add f',
    ]);
    expect(recording.changes[5]).toMatchObject({ object: { data: { x: '1' } }, old: { kind: 'ConfigMap' } });
  });

  test('begins the list anew when the continue token expires between two pages', async () => {
    const namespace = await environment.namespace();
    for (const name of ['a', 'b', 'c']) await create(namespace, name);
    environment.proxy.inject(isContinued, { type: 'answer', status: 410, body: statusBody(410, 'Expired') });

    const recording = await reflect(namespace, { timing: { pageSize: 2 } });

    expect(recording.told()).toEqual(['add a', 'add b', 'add c']);
    expect(environment.proxy.pending).toBe(0);
  });

  test.each([
    ['429 with Retry-After', 429, { 'retry-after': '1' }, 'TooManyRequests'],
    ['500', 500, {}, 'InternalError'],
    ['503', 503, {}, 'ServiceUnavailable'],
    ['410', 410, {}, 'Expired'],
  ])('goes on after %s on a list and on a watch', async (_, status, headers, reason) => {
    const namespace = await environment.namespace();
    const fault = { type: 'answer', status, headers, body: statusBody(status, reason) } as const;
    environment.proxy.inject(isList, fault);
    environment.proxy.inject(isWatch, fault);

    const recording = await reflect(namespace);
    await expectAlive(recording, namespace, 'a');

    expect(environment.proxy.pending).toBe(0);
    expect(recording.told()).toEqual(['add a']);
  });

  test.each([
    ['a reset connection', { type: 'reset' }],
    ['an answer that is cut in the middle', { type: 'cut', afterBytes: 40 }],
    ['an answer that is no JSON', { type: 'body', text: 'upstream connect error\n' }],
  ] as const)('goes on after %s on a list and on a watch', async (_, fault) => {
    const namespace = await environment.namespace();
    await create(namespace, 'a');
    environment.proxy.inject(isList, fault);
    environment.proxy.inject(isWatch, fault);

    const recording = await reflect(namespace);
    await environment.direct.mergePatch(KINDS.configMap, { namespace, name: 'a' }, { data: { x: '1' } });
    await expectAlive(recording, namespace, 'b');

    expect(environment.proxy.pending).toBe(0);
    expect(recording.told()).toEqual(['add a', 'update a', 'add b']);
  });

  test('lists again and tells the difference when the watch says that its version is too old', async () => {
    const namespace = await environment.namespace();
    await create(namespace, 'kept');
    await create(namespace, 'deleted');
    const old = await create(namespace, 'replaced');
    const text = `${JSON.stringify({ type: 'ERROR', object: statusBody(410, 'Expired') })}\n`;
    environment.proxy.inject(isWatch, { type: 'hang' });
    const recording = await reflect(namespace, { timing: { idleMs: 300 } });
    const lists = environment.proxy.seen(isList);

    await environment.direct.delete(KINDS.configMap, { namespace, name: 'deleted' });
    await environment.direct.delete(KINDS.configMap, { namespace, name: 'replaced' });
    const made = await create(namespace, 'replaced');
    environment.proxy.inject(isWatch, { type: 'body', text });
    await until('it has listed again', () => recording.changes.length === 6);
    expect(environment.proxy.seen(isList)).toBeGreaterThan(lists);
    await expectAlive(recording, namespace, 'last');

    expect(recording.told().slice(3)).toEqual([
      'delete deleted',
      'delete replaced',
      'add replaced',
      'add last',
    ]);
    expect(recording.changes[4]?.object.metadata.uid).toBe(old.metadata.uid);
    expect(recording.changes[5]?.object.metadata.uid).toBe(made.metadata.uid);
  });

  test('opens the watch again, without a list, after an ERROR event that is not about the version', async () => {
    const namespace = await environment.namespace();
    const text = `${JSON.stringify({ type: 'ERROR', object: statusBody(500, 'InternalError') })}\n`;
    environment.proxy.inject(isWatch, { type: 'body', text });
    const lists = environment.proxy.seen(isList);

    const recording = await reflect(namespace);
    await expectAlive(recording, namespace, 'a');

    expect(environment.proxy.pending).toBe(0);
    expect(environment.proxy.seen(isList) - lists).toBe(1);
  });

  test('gives a watch up on which nothing arrives', async () => {
    const namespace = await environment.namespace();
    environment.proxy.inject(isWatch, { type: 'hang' });

    const recording = await reflect(namespace, { timing: { idleMs: 300 } });
    await expectAlive(recording, namespace, 'a');

    expect(environment.proxy.pending).toBe(0);
  });

  test('misses nothing while connections break again and again', async () => {
    const namespace = await environment.namespace();
    const recording = await reflect(namespace);
    const names = Array.from({ length: 60 }, (_, index) => `object-${index}`);

    for (const [index, name] of names.entries()) {
      await create(namespace, name);
      if (index % 7 === 0) environment.proxy.resetAll();
      if (index % 3 === 0) await environment.direct.delete(KINDS.configMap, { namespace, name });
    }
    await expectAlive(recording, namespace, 'last');

    const expected = names.filter((_, index) => index % 3 !== 0);
    const present = recording.reflector.store.list().map(({ metadata }) => metadata.name);
    expect(present.toSorted()).toEqual([...expected, 'last'].toSorted());
    expect(recording.told().filter((line) => line === 'add object-1')).toHaveLength(1);
  });

  test('goes on when the API server comes back after a restart', async () => {
    const namespace = await environment.namespace();
    await create(namespace, 'a');
    const recording = await reflect(namespace);

    await environment.api.restart();
    await environment.direct.delete(KINDS.configMap, { namespace, name: 'a' });
    await expectAlive(recording, namespace, 'b');

    expect(recording.told()).toEqual(['add a', 'delete a', 'add b']);
  });

  test('goes on when a handler throws', async () => {
    const namespace = await environment.namespace();
    const seen: string[] = [];
    const onChange = ({ object }: StoreChange): void => {
      seen.push(object.metadata.name);
      throw new Error('a mistake in a controller');
    };

    const recording = await reflect(namespace, { onChange });
    await expectAlive(recording, namespace, 'a');
    await expectAlive(recording, namespace, 'b');

    expect(seen).toEqual(['a', 'b']);
  });

  test('opens nothing any more when it is stopped during its first list', async () => {
    const namespace = await environment.namespace();
    const watches = environment.proxy.seen(isWatch);
    environment.proxy.inject(isList, { type: 'delay', ms: 200 });

    const recording = await reflect(namespace, {}, false);
    await sleep(50);
    await recording.stop();
    await sleep(300);

    expect(environment.proxy.seen(isWatch)).toBe(watches);
    expect(recording.changes).toEqual([]);
  });

  test('asks for bookmarks and for a limited watch, and drops what nobody reads', async () => {
    const namespace = await environment.namespace();
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': '{}', other: 'kept' };
    const object = configMap(namespace, 'a', { key: 'value' });
    await environment.direct.create(KINDS.configMap, {
      ...object,
      metadata: { ...object.metadata, annotations },
    });

    const recording = await reflect(namespace);
    await until('it watches', () => environment.proxy.requests.some(isWatch));

    const watch = environment.proxy.requests.findLast(isWatch)?.path ?? '';
    const parameters = new URLSearchParams(watch.split('?')[1]);
    expect(parameters.get('allowWatchBookmarks')).toBe('true');
    expect(Number(parameters.get('timeoutSeconds'))).toBeGreaterThanOrEqual(300);
    expect(Number(parameters.get('timeoutSeconds'))).toBeLessThanOrEqual(600);
    const stored = recording.reflector.store.get({ namespace, name: 'a' });
    expect(stored?.metadata).not.toHaveProperty('managedFields');
    expect(stored?.metadata.annotations).toEqual({ other: 'kept' });
  });

  test('keeps metadata alone when that is all that is wanted', async () => {
    const namespace = await environment.namespace();
    await create(namespace, 'a', { secret: 'value' });

    const recording = await reflect(namespace, { metadataOnly: true });
    await create(namespace, 'b', { secret: 'value' });
    await until('b is seen', () => recording.changes.length === 2);

    expect(recording.changes.map(({ object }) => Object.keys(object).toSorted())).toEqual([
      ['apiVersion', 'kind', 'metadata'],
      ['apiVersion', 'kind', 'metadata'],
    ]);
    expect(recording.changes.map(({ object }) => object.kind)).toEqual(['ConfigMap', 'ConfigMap']);
    const watch = environment.proxy.requests.findLast(isWatch);
    expect(watch?.headers.accept).toContain('as=PartialObjectMetadata;');
  });

  test('selects by labels and finds by index', async () => {
    const namespace = await environment.namespace();
    const labelled = (name: string, team: string): KubeObject => {
      const object = configMap(namespace, name);
      return { ...object, metadata: { ...object.metadata, labels: { team, ours: 'yes' } } };
    };
    await create(namespace, 'foreign');
    await environment.direct.create(KINDS.configMap, labelled('a', 'red'));
    await environment.direct.create(KINDS.configMap, labelled('b', 'blue'));

    const { reflector } = await reflect(namespace, {
      labelSelector: 'ours=yes',
      indexers: { team: ({ metadata }) => [metadata.labels?.['team'] ?? ''] },
    });
    const red = (): string[] => reflector.store.byIndex('team', 'red').map(({ metadata }) => metadata.name);

    expect(reflector.store.list()).toHaveLength(2);
    expect(red()).toEqual(['a']);
    const patch = { metadata: { labels: { team: 'red' } } };
    await environment.direct.mergePatch(KINDS.configMap, { namespace, name: 'b' }, patch);
    await until('b is red', () => red().length === 2);
    expect(reflector.store.byIndex('team', 'blue')).toEqual([]);
  });

  test('counts as synced while an optional kind is not installed, and notices when it comes and goes', async () => {
    const recording = await reflect('default', {
      kind: KINDS.serviceMonitor,
      optional: true,
      timing: { absentMs: 100 },
    });
    expect(recording.reflector.store.list()).toEqual([]);

    await environment.direct.create(KINDS.customResourceDefinition, SERVICE_MONITORS);
    const monitor = {
      apiVersion: KINDS.serviceMonitor.apiVersion,
      kind: KINDS.serviceMonitor.kind,
      metadata: { namespace: 'default', name: 'a' },
    };
    await until('the API server serves the kind', () => environment.proxy.seen(isServiceMonitorWatch) > 0);
    await environment.direct.create(KINDS.serviceMonitor, monitor);

    await until('the object is seen', () => recording.told().includes('add a'));
    const { name } = SERVICE_MONITORS.metadata;
    await environment.direct.delete(KINDS.customResourceDefinition, { namespace: undefined, name });

    await until('the object is gone', () => recording.told().includes('delete a'));
  });
});

const isServiceMonitorWatch: Matcher = ({ path }) =>
  path.includes('/servicemonitors?') && path.includes('watch=');
