import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { tagIndexKey, tagPrefix } from './layout.ts';
import { parseReference, parseRepositoryName, parseTag } from './reference.ts';
import { Tags } from './tags.ts';
import { call, createTestRegistry, digestOf, pushBlob, pushImage, REPOSITORY, refusal } from './testing.ts';

test('lists tags in byte order', async () => {
  const registry = createTestRegistry();
  const { digest } = await pushImage(registry, 'b');
  const tags = new Tags(registry.storage, undefined);
  for (const tag of ['a', 'B', 'v1-rc', 'v1.0', 'v1', '_', '10', '9']) {
    await tags.point(REPOSITORY, parseTag(tag), digest, call());
  }

  expect(await registry.tags.list(REPOSITORY, {}, call())).toEqual({
    tags: ['10', '9', 'B', '_', 'a', 'b', 'v1', 'v1-rc', 'v1.0'],
    more: false,
  });
});

test('pages through any tags without losing or repeating one', async () => {
  const names = fc.uniqueArray(fc.stringMatching(/^[abA_][ab.-]{0,4}$/), { minLength: 1, maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(names, fc.integer({ min: 1, max: 7 }), async (texts, n) => {
      const registry = createTestRegistry();
      const tags = new Tags(registry.storage, undefined);
      for (const text of texts) await tags.point(REPOSITORY, parseTag(text), digestOf('x'), call());
      const found: string[] = [];
      let last = '';

      for (let more = true; more;) {
        const page = await registry.tags.list(REPOSITORY, { n, last }, call());
        expect(page.tags.length).toBeLessThanOrEqual(n);
        found.push(...page.tags);
        more = page.more;
        last = page.tags.at(-1) ?? '';
      }

      expect(found).toEqual(texts.toSorted());
    }),
    { numRuns: 60 },
  );
});

test('n and last cut the list, and last need not exist', async () => {
  const registry = createTestRegistry();
  for (const tag of ['a', 'c', 'e']) await pushImage(registry, tag);

  const list = (n: number | undefined, last?: string): Promise<unknown> =>
    registry.tags.list(
      REPOSITORY,
      { ...(n === undefined ? {} : { n }), ...(last === undefined ? {} : { last }) },
      call(),
    );

  expect(await list(2)).toEqual({ tags: ['a', 'c'], more: true });
  expect(await list(3)).toEqual({ tags: ['a', 'c', 'e'], more: false });
  expect(await list(2, 'b')).toEqual({ tags: ['c', 'e'], more: false });
  expect(await list(undefined, 'c')).toEqual({ tags: ['e'], more: false });
  expect(await list(5, 'zzz')).toEqual({ tags: [], more: false });
  expect(await list(0)).toEqual({ tags: [], more: false });
  expect(await list(2 ** 53)).toEqual({ tags: ['a', 'c', 'e'], more: false });
});

test('an unknown repository is unknown, and one without tags has none', async () => {
  const registry = createTestRegistry();
  const unknown = parseRepositoryName('library');
  await pushBlob(registry, 'x');

  expect(await refusal(registry.tags.list(unknown, {}, call()))).toBe('NAME_UNKNOWN 404');
  expect(await refusal(registry.tags.list(unknown, { n: 0 }, call()))).toBe('NAME_UNKNOWN 404');
  expect(await registry.tags.list(REPOSITORY, {}, call())).toEqual({ tags: [], more: false });
});

test('deleting a tag leaves the manifest and the other tags', async () => {
  const registry = createTestRegistry();
  const { digest } = await pushImage(registry, 'a');
  await pushImage(registry, 'b');

  await registry.tags.delete(REPOSITORY, parseTag('a'), call());

  expect(await registry.tags.list(REPOSITORY, {}, call())).toEqual({ tags: ['b'], more: false });
  expect(await refusal(registry.manifests.get(REPOSITORY, parseReference('a'), call()))).toBe(
    'MANIFEST_UNKNOWN 404',
  );
  expect(await refusal(registry.manifests.get(REPOSITORY, parseReference(digest), call()))).toBe('accepted');
  expect((await registry.storage.list(tagPrefix(REPOSITORY, parseTag('a')))).entries).toEqual([]);
});

test('deleting an unknown tag is refused', async () => {
  const registry = createTestRegistry();
  await pushImage(registry, 'a');

  expect(await refusal(registry.tags.delete(REPOSITORY, parseTag('A'), call()))).toBe('MANIFEST_UNKNOWN 404');
});

test('a tag whose history is all that a crash left can be deleted', async () => {
  const registry = createTestRegistry();
  const { digest } = await pushImage(registry, 'a');
  await registry.storage.put(tagIndexKey(REPOSITORY, parseTag('half'), digest), Buffer.from(digest));

  expect(await refusal(registry.tags.delete(REPOSITORY, parseTag('half'), call()))).toBe('accepted');
  expect(await registry.tags.list(REPOSITORY, {}, call())).toEqual({ tags: ['a'], more: false });
});
