import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import type { StorageDriver, StorageKey } from '../storage/driver.ts';
import { IndexRepair } from './index-repair.ts';
import { layerLinkKey, uploadStartedKey } from './layout.ts';
import { isRepositoryName, parseRepositoryName, parseUploadId } from './reference.ts';
import { ReferrerIndex } from './referrer-index.ts';
import { call, createTestRegistry, digestOf, pushBlob, pushImage, type TestRegistry } from './testing.ts';

async function makeRepository(storage: StorageDriver, name: string): Promise<void> {
  await storage.put(layerLinkKey(parseRepositoryName(name), digestOf('x')), Buffer.from(digestOf('x')));
}

/** As the comparison at the start of a server does. */
async function useIndex({ storage, catalog }: TestRegistry): Promise<void> {
  const referrers = new ReferrerIndex({ storage });
  await new IndexRepair({ storage, referrers, onRepair: () => undefined }).compareCatalog(call());
  catalog.useIndex();
}

test('an empty registry has no repositories', async () => {
  const registry = createTestRegistry();

  expect(await registry.catalog.list({}, call())).toEqual({ repositories: [], more: false });
});

test('lists repositories in byte order, those within others too', async () => {
  const registry = createTestRegistry();
  const names = ['a', 'a-b', 'a-b/c', 'a.b', 'a/b', 'a/b-c', 'a/b/c', 'a0', 'blobs/uploads', 'z'];
  for (const name of names.toReversed()) await makeRepository(registry.storage, name);

  expect(await registry.catalog.list({}, call())).toEqual({ repositories: names, more: false });
});

test('pages through any repositories without losing or repeating one', async () => {
  const component = fc.stringMatching(/^[ab]{1,2}([-.][ab]{1,2})?$/);
  const name = fc.array(component, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
  const names = fc.uniqueArray(name, { minLength: 1, maxLength: 15 });
  await fc.assert(
    fc.asyncProperty(names, fc.integer({ min: 1, max: 5 }), fc.boolean(), async (texts, n, indexed) => {
      const registry = createTestRegistry();
      for (const text of texts) await makeRepository(registry.storage, text);
      if (indexed) await useIndex(registry);
      const found: string[] = [];
      let last = '';

      for (let more = true; more;) {
        const page = await registry.catalog.list({ n, last }, call());
        found.push(...page.repositories);
        more = page.more;
        last = page.repositories.at(-1) ?? '';
      }

      expect(found).toEqual(texts.toSorted());
    }),
    { numRuns: 100 },
  );
});

test.each([false, true])('starts after any name, existing or not (index: %s)', async (indexed) => {
  const text = fc.stringMatching(/^[ab]{0,2}[-./]?[ab]{0,2}$/);
  const registry = createTestRegistry();
  const names = ['a', 'a-a', 'a-a/b', 'a/a', 'a/b', 'a/b/a', 'b', 'b.a'];
  for (const name of names) await makeRepository(registry.storage, name);
  if (indexed) await useIndex(registry);
  await fc.assert(
    fc.asyncProperty(text, async (last) => {
      const { repositories } = await registry.catalog.list({ last }, call());

      expect(repositories).toEqual(names.filter((name) => name > last));
    }),
  );
});

test('leaves out what only looks like a repository', async () => {
  const registry = createTestRegistry();
  await pushImage(registry, 'latest', { name: parseRepositoryName('real') });
  const upload = parseUploadId('0f8fad5b-d9cb-469f-a165-70867728950e');
  await registry.storage.put(uploadStartedKey(parseRepositoryName('only/uploads'), upload), Buffer.from('x'));
  for (const key of ['lost+found/_layers/x', 'UPPER/_layers/x', '_catalog/a/_layers/x', 'file']) {
    await registry.storage.put(`docker/registry/v2/repositories/${key}` as StorageKey, Buffer.from('x'));
  }

  expect(await registry.catalog.list({}, call())).toEqual({ repositories: ['real'], more: false });
  expect(isRepositoryName('lost+found')).toBe(false);
});

test.each([false, true])('n cuts the list (index: %s)', async (indexed) => {
  const registry = createTestRegistry();
  for (const name of ['a', 'b', 'c']) await makeRepository(registry.storage, name);
  if (indexed) await useIndex(registry);

  expect(await registry.catalog.list({ n: 2 }, call())).toEqual({ repositories: ['a', 'b'], more: true });
  expect(await registry.catalog.list({ n: 3 }, call())).toEqual({
    repositories: ['a', 'b', 'c'],
    more: false,
  });
  expect(await registry.catalog.list({ n: 0 }, call())).toEqual({ repositories: [], more: false });
});

test('looks into the folders until the index was compared with them, then into one folder only', async () => {
  const registry = createTestRegistry();
  const listed: string[] = [];
  const list = registry.storage.list.bind(registry.storage);
  registry.storage.list = async (prefix, options) => {
    listed.push(prefix);
    return list(prefix, options);
  };
  for (const name of ['a', 'b']) await makeRepository(registry.storage, name);

  expect((await registry.catalog.list({}, call())).repositories).toEqual(['a', 'b']);
  await useIndex(registry);
  listed.length = 0;
  expect((await registry.catalog.list({}, call())).repositories).toEqual(['a', 'b']);
  expect(listed).toEqual(['docker/registry/v2/_catalog/']);
});

test('lists what is pushed from then on, and no longer what was deleted', async () => {
  const registry = createTestRegistry();
  await useIndex(registry);
  const [a, b] = [parseRepositoryName('a'), parseRepositoryName('b')];
  const image = await pushImage(registry, 'latest', { name: a });
  const blob = await pushBlob(registry, 'x', b);
  const names = async (): Promise<string[]> => (await registry.catalog.list({}, call())).repositories;

  expect(await names()).toEqual(['a', 'b']);
  await registry.blobs.delete(b, blob.digest, call());
  expect(await names()).toEqual(['a']);
  await registry.manifests.delete(a, image.digest, call());
  for (const content of ['{"salt":""}', 'layer ']) await registry.blobs.delete(a, digestOf(content), call());
  expect(await names()).toEqual([]);
  await pushBlob(registry, 'x', b);
  expect(await names()).toEqual(['b']);
});
