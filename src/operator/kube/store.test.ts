import { expect, test } from 'vitest';

import { formatKey, keyOf, ObjectStore, parseKey, UnionStore } from './store.ts';
import type { KubeObject } from './types.ts';

function object(name: string, uid: string, version = '1', labels: Record<string, string> = {}): KubeObject {
  const metadata = { name, namespace: 'ns', uid, resourceVersion: version, labels };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata };
}

function told(changes: { type: string; object: KubeObject }[]): string[] {
  return changes.map(
    (change) => `${change.type} ${change.object.metadata.name} ${change.object.metadata.uid}`,
  );
}

test('tells an object of another UID as a deletion and an addition', () => {
  const store = new ObjectStore();
  store.put(object('a', 'first'));

  expect(told(store.put(object('a', 'second', '9')))).toEqual(['delete a first', 'add a second']);
});

test('tells the difference to a complete list, and nothing for what is the same', () => {
  const store = new ObjectStore();
  store.replaceAll([
    object('gone', '1'),
    object('same', '2'),
    object('new version', '3'),
    object('replaced', '4'),
  ]);

  const changes = store.replaceAll([
    object('same', '2'),
    object('new version', '3', '2'),
    object('replaced', '5'),
    object('added', '6'),
  ]);

  expect(told(changes)).toEqual([
    'delete gone 1',
    'update new version 3',
    'delete replaced 4',
    'add replaced 5',
    'add added 6',
  ]);
});

test('is synced after its first list, even an empty one', () => {
  const store = new ObjectStore();
  expect(store.hasSynced()).toBe(false);

  store.replaceAll([]);

  expect(store.hasSynced()).toBe(true);
});

test('keeps indexes in step with updates and deletions', () => {
  const store = new ObjectStore({ team: ({ metadata }) => Object.values(metadata.labels ?? {}) });
  const named = (value: string): string[] =>
    store.byIndex('team', value).map(({ metadata }) => metadata.name);
  store.put(object('a', '1', '1', { team: 'red', second: 'blue' }));
  store.put(object('b', '2', '1', { team: 'red' }));
  expect([named('red'), named('blue')]).toEqual([['a', 'b'], ['a']]);

  store.put(object('a', '1', '2', { team: 'blue' }));
  store.remove(object('b', '2'));

  expect([named('red'), named('blue')]).toEqual([[], ['a']]);
  expect(store.byIndex('unknown', 'x')).toEqual([]);
});

test('freezes what it keeps, because everybody shares it', () => {
  const store = new ObjectStore();
  store.put(object('a', '1', '1', { team: 'red' }));

  const stored = store.get({ namespace: 'ns', name: 'a' });

  expect(Object.isFrozen(stored?.metadata.labels)).toBe(true);
});

test('reads several stores as one', () => {
  const stores = [new ObjectStore(), new ObjectStore()];
  const union = new UnionStore(stores);
  stores[0]?.replaceAll([object('a', '1')]);
  expect(union.hasSynced()).toBe(false);
  stores[1]?.replaceAll([object('b', '2')]);

  expect(union.hasSynced()).toBe(true);
  expect(union.list()).toHaveLength(2);
  expect(union.get({ namespace: 'ns', name: 'b' })?.metadata.uid).toBe('2');
});

test.each(['ns/a', 'a'])('writes and reads the key %s', (key) => {
  expect(formatKey(parseKey(key))).toBe(key);
});

test('keys an object by namespace and name', () => {
  expect(keyOf(object('a', '1'))).toBe('ns/a');
});
