import { beforeEach, expect, test } from 'vitest';

import type { StorageDriver } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/drivers/memory.ts';
import type { Descriptor } from './descriptor.ts';
import type { Digest } from './digest.ts';
import { OCI_MANIFEST } from './media-types.ts';
import { parseReference, parseRepositoryName, parseTag } from './reference.ts';
import {
  call,
  createTestRegistry,
  digestOf,
  imageManifest,
  pushBlob,
  REPOSITORY,
  type TestRegistry,
} from './testing.ts';

/**
 * Counts what a request asks of the storage, and how often it waits: what can run at the same time runs in one
 * round. On an object storage a round takes some ten milliseconds, and a call costs money.
 */
class Meter {
  readonly storage: StorageDriver;
  readonly #waiting: (() => void)[] = [];
  #calls: string[] = [];
  #rounds = 0;
  #scheduled = false;

  constructor(driver: StorageDriver) {
    this.storage = this.#metered(driver, '');
  }

  /** @returns `<rounds>: <calls>` of the work, each kind of call where it began first */
  async measure(work: () => Promise<unknown>): Promise<string> {
    this.#calls = [];
    this.#rounds = 0;
    await work();
    const counts = new Map<string, number>();
    for (const name of this.#calls) counts.set(name, (counts.get(name) ?? 0) + 1);
    const texts = [...counts].map(([name, count]) => (count === 1 ? name : `${count} ${name}`));
    return `${this.#rounds}: ${texts.join(', ')}`;
  }

  #metered<T extends object>(target: T, prefix: string): T {
    return new Proxy(target, {
      get: (object, property) => {
        const value: unknown = Reflect.get(object, property);
        if (typeof value !== 'function') return value;
        return async (...parameters: readonly unknown[]): Promise<unknown> => {
          const name = prefix + String(property);
          if (!FREE.has(name)) await this.#turn(name);
          const result: unknown = await Reflect.apply(value, object, parameters);
          return name === 'startWrite' && typeof result === 'object' && result !== null
            ? this.#metered(result, 'session.')
            : result;
        };
      },
    });
  }

  async #turn(name: string): Promise<void> {
    this.#calls.push(name);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    if (!this.#scheduled) this.#schedule();
    await promise;
  }

  /** Everything that was begun by then shares the round. */
  #schedule(): void {
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#rounds++;
      for (const go of this.#waiting.splice(0)) go();
    });
  }
}

/** Takes bytes, of which others tell the cost. */
const FREE = new Set(['session.append']);
const OTHER = parseRepositoryName('library/busybox');

let meter: Meter;
let registry: TestRegistry;
let config: Descriptor;
let layer: Descriptor;

beforeEach(async () => {
  meter = new Meter(createMemoryDriver());
  registry = createTestRegistry(meter.storage);
  config = await pushBlob(registry, '{}');
  layer = await pushBlob(registry, 'layer');
});

async function pushManifest(reference: string, more: object = {}): Promise<Descriptor> {
  const pushed = { contentType: OCI_MANIFEST, bytes: imageManifest(config, [layer], more) };
  return registry.manifests.put(REPOSITORY, parseReference(reference), pushed, call());
}

/** What a request costs: rounds, each of which takes as long as one call, and calls. */
async function cost(work: () => Promise<unknown>): Promise<string> {
  return meter.measure(work);
}

test('a push of a manifest', async () => {
  expect(await cost(() => pushManifest('v1'))).toBe('7: get, 8 stat, 4 put');
  expect(await cost(() => pushManifest('v1', { annotations: { a: 'b' } }))).toBe('7: get, 8 stat, 4 put');
  const subject = await pushManifest('v2');
  expect(await cost(() => pushManifest('v2'))).toBe('6: get, 8 stat, 3 put');
  expect(await cost(() => pushManifest('v3', { subject }))).toBe('8: get, 8 stat, 5 put');
});

test('a pull of a manifest', async () => {
  const { digest } = await pushManifest('v1');
  const get = (reference: string) => (): Promise<unknown> =>
    registry.manifests.get(REPOSITORY, parseReference(reference), call());

  registry = createTestRegistry(meter.storage);
  expect(await cost(get(digest))).toBe('1: stat, get');
  expect(await cost(get(digest))).toBe('1: stat');
  registry = createTestRegistry(meter.storage);
  expect(await cost(get('v1'))).toBe('2: 2 get, stat');
  expect(await cost(get('v1'))).toBe('2: get, stat');
});

test('blobs that are there', async () => {
  const { digest } = layer;
  const open = async (): Promise<unknown> => registry.blobs.open(REPOSITORY, digest, undefined, call());

  expect(await cost(() => registry.blobs.stat(REPOSITORY, digest, call()))).toBe('1: 2 stat');
  expect(await cost(open)).toBe('1: stat, open');
  expect(await cost(() => registry.blobs.mount(OTHER, digest, REPOSITORY, call()))).toBe('3: 3 stat, 3 put');
  expect(await cost(() => registry.blobs.mount(OTHER, digest, undefined, call()))).toBe(
    '3: list, 3 stat, 2 put',
  );
});

test('lists', async () => {
  const subject = await pushManifest('v1');
  await pushManifest('v2', { subject });
  const referrers = (digest: Digest) => (): Promise<unknown> =>
    registry.referrers.list(REPOSITORY, digest, { artifactTypes: [] }, call());
  await referrers(subject.digest)();
  registry.catalog.useIndex();

  expect(await cost(() => registry.tags.list(REPOSITORY, {}, call()))).toBe('1: list');
  expect(await cost(() => registry.catalog.list({}, call()))).toBe('1: list');
  expect(await cost(referrers(digestOf('none')))).toBe('1: list, stat, get');
  expect(await cost(referrers(subject.digest))).toBe('2: list, 2 stat, get');
});

test('a list of many, among as many other manifests', async () => {
  const subject = await pushManifest('v1');
  const list = (page: object) => async (): Promise<unknown> =>
    registry.referrers.list(REPOSITORY, subject.digest, { artifactTypes: [], ...page }, call());
  for (let count = 0; count < 200; count++) {
    const annotations = { count: `${count}` };
    await pushManifest(`v${count}`, { annotations, ...(count % 2 === 0 && { subject }) });
  }
  await list({})();

  expect(await cost(list({}))).toBe('2: 2 list, stat, get');
  expect(await cost(list({ n: 60 }))).toBe('2: 2 list, stat, get');
  expect(await cost(list({ n: 5 }))).toMatch(/^[23]: list, [0-9]+ stat, get$/);
});

test('deletes', async () => {
  const { digest } = await pushManifest('v1');
  const tag = parseTag('v2');
  await pushManifest(tag);

  expect(await cost(() => registry.tags.delete(REPOSITORY, tag, call()))).toBe('4: 2 list, 2 delete');
  expect(await cost(() => registry.manifests.delete(REPOSITORY, digest, call()))).toMatch(/^1[0-2]: /);
  expect(await cost(() => registry.blobs.delete(REPOSITORY, layer.digest, call()))).toBe(
    '5: 4 stat, 2 delete, list',
  );
});
