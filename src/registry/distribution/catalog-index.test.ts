import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { StorageConfig } from '../../api/registry-config.ts';
import { createStorage } from '../storage/create.ts';
import type { StorageDriver, StorageKey } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/drivers/memory.ts';
import { CatalogIndex, cursorAfter } from './catalog-index.ts';
import { CATALOG_PREFIX, catalogKey, decodeName, encodeName, layerLinkKey } from './layout.ts';
import type { RepositoryName } from './names.ts';
import { isRepositoryName, parseRepositoryName } from './reference.ts';
import { call, digestOf } from './testing.ts';

const NAME = parseRepositoryName('library/alpine');

/** Any valid name; made of few characters, so that names share beginnings. */
function names(maxComponents: number): fc.Arbitrary<RepositoryName> {
  const component = fc.stringMatching(/^[a09z]{1,2}(?:(?:\.|__?|-{1,2})[a09z]{1,2}){0,2}$/);
  return fc
    .array(component, { minLength: 1, maxLength: maxComponents })
    .map((parts) => parts.join('/'))
    .filter(isRepositoryName);
}

function byBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

/** A name of the greatest length, with separators in it or as a single component. */
function longest(text: string): RepositoryName {
  return parseRepositoryName(text.repeat(255).slice(0, 254) + 'z');
}

async function link(storage: StorageDriver, name: RepositoryName): Promise<void> {
  await storage.put(layerLinkKey(name, digestOf('x')), Buffer.from(digestOf('x')));
}

describe('the encoding of names', () => {
  test('is one segment, keeps the order and can be reversed, for every name', () => {
    fc.assert(
      fc.property(names(4), names(4), (left, right) => {
        expect(decodeName(encodeName(left))).toBe(left);
        expect(encodeName(left)).toMatch(/^[A-Za-z0-9._+-]+$/);
        expect(Math.sign(byBytes(encodeName(left), encodeName(right)))).toBe(Math.sign(byBytes(left, right)));
      }),
      { numRuns: 1000 },
    );
  });

  test('has a place for every text that a client may send as the last name', () => {
    const near = fc.string({ unit: fc.constantFrom(...'az09-./_+,:~A é💥'.split('')), maxLength: 8 });
    fc.assert(
      fc.property(names(3), fc.oneof(near, fc.string({ unit: 'binary' }), names(3)), (name, last) => {
        expect(encodeName(name) > cursorAfter(last)).toBe(name > last);
      }),
      { numRuns: 800 },
    );
    expect(encodeName(longest('a')) > cursorAfter(`${longest('a').slice(0, 254)}${'a'.repeat(10_000)}`)).toBe(
      true,
    );
    expect(cursorAfter('a'.repeat(100_000)).length).toBeLessThan(300);
  });
});

describe('entries', () => {
  test('are written once, and removed only when the repository is gone', async () => {
    const storage = createMemoryDriver();
    const index = new CatalogIndex(storage);
    await link(storage, NAME);

    expect(await index.note(NAME, call())).toBe(true);
    expect(await index.note(NAME, call())).toBe(false);
    expect(await index.forgetIfGone(NAME, call())).toBe(false);
    expect(await index.has(NAME, call())).toBe(true);
    await storage.delete([layerLinkKey(NAME, digestOf('x'))]);
    expect(await index.forgetIfGone(NAME, call())).toBe(true);
    expect(await index.has(NAME, call())).toBe(false);
    expect(await index.note(NAME, call())).toBe(true);
  });

  test('come back when a push came in between', async () => {
    const storage = createMemoryDriver();
    const index = new CatalogIndex(storage);
    await index.note(NAME, call());
    const remove = storage.delete.bind(storage);
    storage.delete = async (keys) => {
      await remove(keys);
      await link(storage, NAME);
    };

    expect(await index.forgetIfGone(NAME, call())).toBe(false);

    expect(await index.has(NAME, call())).toBe(true);
  });

  test('that are no names are passed over, and pages are full all the same', async () => {
    const storage = createMemoryDriver();
    const index = new CatalogIndex(storage);
    for (const entry of ['-a', 'UPPER', 'a..b', 'deeper/x', 'x+']) {
      await storage.put(`${CATALOG_PREFIX}${entry}` as StorageKey, new Uint8Array());
    }
    for (const name of ['a', 'b', 'z']) await index.note(parseRepositoryName(name), call());

    expect(await index.page('', 2, call())).toEqual({ names: ['a', 'b'], more: true });
    expect(await index.page('b', 2, call())).toEqual({ names: ['z'], more: false });
    expect(await index.page('', 0, call())).toEqual({ names: [], more: false });
  });
});

describe.each(['memory', 'filesystem'] as const)('pages on %s', (driver) => {
  let folder: string;
  let storage: StorageDriver;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'catalog-index-'));
    const config = StorageConfig.parse(driver === 'memory' ? { driver } : { driver, rootDirectory: folder });
    storage = await createStorage(config, { metrics: { observe() {}, error() {} }, bufferBytes: 1 << 20 });
  });
  afterAll(async () => {
    await storage.close();
    await rm(folder, { recursive: true });
  });

  test('have every name once and in order, the longest ones too', async () => {
    const index = new CatalogIndex(storage);
    const long = [longest('a'), longest('a-'), longest('a/'), longest('a.')];
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(names(3), { minLength: 1, maxLength: 12 }),
        fc.subarray(long),
        fc.integer({ min: 1, max: 5 }),
        async (some, longs, limit) => {
          const all = [...some, ...longs];
          for (const name of all) await index.note(name, call());
          const found: RepositoryName[] = [];
          for (let more = true; more;) {
            const page = await index.page(found.at(-1) ?? '', limit, call());
            found.push(...page.names);
            more = page.more;
          }
          const walked: RepositoryName[] = [];
          for await (const name of index.walk(call())) walked.push(name);
          await storage.delete(all.map(catalogKey));

          expect(found).toEqual(all.toSorted(byBytes));
          expect(walked).toEqual(found);
        },
      ),
      { numRuns: driver === 'memory' ? 200 : 25 },
    );
  });
});
