import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import type { StorageKey } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/drivers/memory.ts';
import { type FolderScan, orderedFolders } from './ordered-folders.ts';

const NAMES = fc.uniqueArray(
  fc.string({ unit: fc.constantFrom(...'ab-._0Z'.split('')), minLength: 1, maxLength: 5 }),
  {
    maxLength: 25,
  },
);

async function visits(
  names: readonly string[],
  scan: Pick<FolderScan, 'last' | 'pageSize'>,
): Promise<string[]> {
  const storage = createMemoryDriver();
  for (const name of names) await storage.put(`p/${name}/link` as StorageKey, new Uint8Array());
  const exists = async (name: string): Promise<boolean> => names.includes(name);
  const found: string[] = [];
  for await (const visit of orderedFolders(storage, { prefix: 'p/', exists, ...scan }, {})) {
    found.push(visit.kind === 'self' ? visit.name : `${visit.name}/`);
  }
  return found;
}

function isSelf(visit: string): boolean {
  return !visit.endsWith('/');
}

test('finds a name before those that begin with it, although the storage lists it after them', async () => {
  const names = ['v1', 'v1-rc', 'v1.0', 'v10'];

  for (const pageSize of [1, 2, 1000]) {
    expect((await visits(names, { last: '', pageSize })).filter(isSelf)).toEqual(names);
  }
});

test('every name comes once, in byte order, whatever the page size and the start', async () => {
  const last = fc.string({ unit: fc.constantFrom(...'ab-._0Z'.split('')), maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(NAMES, last, fc.integer({ min: 1, max: 30 }), async (names, after, pageSize) => {
      const found = await visits(names, { last: after, pageSize });

      expect(found.filter(isSelf)).toEqual(names.filter((name) => name > after).toSorted());
    }),
    { numRuns: 300 },
  );
});

test('what is below a name has its turn among the names', async () => {
  await fc.assert(
    fc.asyncProperty(NAMES, fc.integer({ min: 1, max: 30 }), async (names, pageSize) => {
      const found = await visits(names, { last: '', pageSize });

      expect(found).toEqual([...names, ...names.map((name) => `${name}/`)].toSorted());
    }),
  );
});
