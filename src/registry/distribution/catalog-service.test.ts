import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import type { StorageDriver, StorageKey } from '../storage/driver.ts';
import { layerLinkKey, uploadStartedKey } from './layout.ts';
import { isRepositoryName, parseRepositoryName, parseUploadId } from './reference.ts';
import { call, createTestRegistry, digestOf, pushImage } from './testing.ts';

async function makeRepository(storage: StorageDriver, name: string): Promise<void> {
  await storage.put(layerLinkKey(parseRepositoryName(name), digestOf('x')), Buffer.from(digestOf('x')));
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
    fc.asyncProperty(names, fc.integer({ min: 1, max: 5 }), async (texts, n) => {
      const registry = createTestRegistry();
      for (const text of texts) await makeRepository(registry.storage, text);
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

test('starts after any name, existing or not', async () => {
  const text = fc.stringMatching(/^[ab]{0,2}[-./]?[ab]{0,2}$/);
  const registry = createTestRegistry();
  const names = ['a', 'a-a', 'a-a/b', 'a/a', 'a/b', 'a/b/a', 'b', 'b.a'];
  for (const name of names) await makeRepository(registry.storage, name);
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

test('n cuts the list', async () => {
  const registry = createTestRegistry();
  for (const name of ['a', 'b', 'c']) await makeRepository(registry.storage, name);

  expect(await registry.catalog.list({ n: 2 }, call())).toEqual({ repositories: ['a', 'b'], more: true });
  expect(await registry.catalog.list({ n: 3 }, call())).toEqual({
    repositories: ['a', 'b', 'c'],
    more: false,
  });
  expect(await registry.catalog.list({ n: 0 }, call())).toEqual({ repositories: [], more: false });
});
