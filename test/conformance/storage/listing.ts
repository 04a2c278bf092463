import { beforeEach, describe, expect, test } from 'vitest';

import type { ListOptions, StorageDriver } from '../../../src/registry/storage/driver.ts';
import { type DriverTraits, key, listAll, useBackend } from './fixture.ts';

/** `-`, `.` and `/` are neighbours in ASCII, before digits: where a folder's place differs from its name's. */
const TREE = ['t/a-b', 't/a.b', 't/a/1', 't/a/2/x', 't/a0', 't/b/1', 't/B', 't/_c/1', 't/z'];

/** list. */
export function describeListing(traits: DriverTraits): void {
  const backend = useBackend(traits);

  describe('list', () => {
    beforeEach(async () => {
      await Promise.all(
        [...TREE, 'other/1'].map((name) => backend().driver.put(key(name), Buffer.from('x'))),
      );
    });

    test('lists all keys below a prefix in byte order', async () => {
      expect(await listAll(backend().driver, 't/')).toEqual([
        'B',
        '_c/1',
        'a-b',
        'a.b',
        'a/1',
        'a/2/x',
        'a0',
        'b/1',
        'z',
      ]);
    });

    test('folds folders, which sort by their name with the slash', async () => {
      const { entries, more } = await backend().driver.list('t/', { delimiter: '/' });

      expect(entries.map((entry) => entry.name)).toEqual(['B', '_c/', 'a-b', 'a.b', 'a/', 'a0', 'b/', 'z']);
      expect(more).toBe(false);
    });

    test('lists from the root', async () => {
      const { driver } = backend();

      expect(await names(driver, '', { delimiter: '/' })).toEqual(['other/', 't/']);
      expect((await listAll(driver, '')).at(0)).toBe('other/1');
    });

    test('finds nothing below a missing prefix, an object, or a part of a name', async () => {
      const { driver } = backend();

      for (const prefix of ['missing/', 't/z/', 't/a/1/']) {
        expect(await driver.list(prefix)).toEqual({ entries: [], more: false });
        expect(await driver.list(prefix, { delimiter: '/' })).toEqual({ entries: [], more: false });
      }
    });

    test.each([undefined, '/' as const])(
      'pages with delimiter %s: each entry once, in order',
      async (delimiter) => {
        const { driver } = backend();
        const folded = delimiter === undefined ? {} : { delimiter };
        const whole = await names(driver, 't/', folded);

        for (const limit of [1, 2, 3, whole.length - 1, whole.length, whole.length + 1]) {
          const paged: string[] = [];
          for (let more = true; more;) {
            const after = paged.at(-1);
            const page = await driver.list('t/', {
              ...folded,
              limit,
              ...(after === undefined ? {} : { after }),
            });
            expect(page.entries.length).toBeLessThanOrEqual(limit);
            paged.push(...page.entries.map((entry) => entry.name));
            more = page.more;
            expect(more, `limit ${limit}`).toBe(paged.length < whole.length);
          }
          expect(paged, `limit ${limit}`).toEqual(whole);
        }
      },
    );

    test.each([
      ['a', ['a-b', 'a.b', 'a/', 'a0', 'b/', 'z']],
      ['a-b', ['a.b', 'a/', 'a0', 'b/', 'z']],
      ['a/', ['a0', 'b/', 'z']],
      ['a/1', ['a0', 'b/', 'z']],
      ['a/zz', ['a0', 'b/', 'z']],
      ['a00', ['b/', 'z']],
      ['z', []],
    ])('goes on after %s, which need not exist', async (after, expected) => {
      expect(await names(backend().driver, 't/', { delimiter: '/', after })).toEqual(expected);
    });

    test.each([
      ['a/', ['a/1', 'a/2/x', 'a0', 'b/1', 'z']],
      ['a/1', ['a/2/x', 'a0', 'b/1', 'z']],
      ['a/2', ['a/2/x', 'a0', 'b/1', 'z']],
      ['a/2/y', ['a0', 'b/1', 'z']],
      ['a.b', ['a/1', 'a/2/x', 'a0', 'b/1', 'z']],
    ])('goes on after %s among all keys', async (after, expected) => {
      expect(await names(backend().driver, 't/', { after })).toEqual(expected);
    });

    test('does not end at a folder that fills pages of the back end', async () => {
      const { driver } = backend();
      await Promise.all(
        Array.from({ length: 30 }, (_, n) => driver.put(key(`deep/full/${n}`), Buffer.from('x'))),
      );
      await driver.put(key('deep/last'), Buffer.from('x'));

      expect(await driver.list('deep/', { delimiter: '/', limit: 1 })).toEqual({
        entries: [{ name: 'full/' }],
        more: true,
      });
      expect(await driver.list('deep/', { delimiter: '/', limit: 1, after: 'full/' })).toEqual({
        entries: [{ name: 'last' }],
        more: false,
      });
      expect(await driver.list('deep/', { delimiter: '/', limit: 2 })).toMatchObject({ more: false });
    });
  });
}

async function names(driver: StorageDriver, prefix: string, options: ListOptions): Promise<string[]> {
  return (await driver.list(prefix, options)).entries.map((entry) => entry.name);
}
