import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import type { StorageDriver } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/drivers/memory.ts';
import type { Digest } from './digest.ts';
import { revisionLinkKey } from './layout.ts';
import { type Candidate, lookTogether } from './revision-listing.ts';
import { call, digestOf, REPOSITORY } from './testing.ts';

/** Of both algorithms, in byte order. */
const DIGESTS = Array.from({ length: 3000 }, (_, index) =>
  digestOf(`${index}`, index % 3 === 0 ? 'sha512' : 'sha256'),
).toSorted();

async function link(storage: StorageDriver, digests: readonly Digest[]): Promise<void> {
  for (const digest of digests) await storage.put(revisionLinkKey(REPOSITORY, digest), Buffer.from(digest));
}

async function look(storage: StorageDriver, digests: readonly Digest[], batch = 1000): Promise<Candidate[]> {
  const found: Candidate[] = [];
  const asked = { name: REPOSITORY, digests: ReadableStream.from(digests), batch };
  for await (const candidate of lookTogether(storage, asked, call())) found.push(candidate);
  return found;
}

/** Counts the listings from now on. */
function countListings(storage: StorageDriver): () => number {
  const list = storage.list.bind(storage);
  let count = 0;
  storage.list = async (...parameters) => {
    count++;
    return list(...parameters);
  };
  return () => count;
}

test('yields all in their order, and says of none what is not so', async () => {
  const known = fc.subarray(DIGESTS);
  await fc.assert(
    fc.asyncProperty(known, known, fc.integer({ min: 1, max: 2000 }), async (linked, asked, batch) => {
      const storage = createMemoryDriver();
      await link(storage, linked);
      const there = new Set(linked);

      const found = await look(storage, asked, batch);

      expect(found.map(({ digest }) => digest)).toEqual(asked);
      const wrong = found.filter(({ digest, isLinked }) => isLinked === !there.has(digest));
      expect(wrong).toEqual([]);
    }),
    { numRuns: 30 },
  );
});

test('finds a thousand links with one or two listings, also those that are gone', async () => {
  const storage = createMemoryDriver();
  const [linked, asked] = [DIGESTS.slice(0, 1500), DIGESTS.slice(600, 1600)];
  await link(storage, linked);
  const listings = countListings(storage);

  const found = await look(storage, asked);

  expect(found.map(({ isLinked }) => isLinked)).toEqual(asked.map((_, index) => index < 900));
  expect(listings()).toBeLessThanOrEqual(2);
});

test('gives up listing where others lie in between, and does not begin for a few', async () => {
  const storage = createMemoryDriver();
  await link(storage, DIGESTS);
  const listings = countListings(storage);

  const far = await look(
    storage,
    DIGESTS.filter((_, index) => index % 75 === 0),
  );
  expect(far).toHaveLength(40);
  expect(far.at(-1)?.isLinked).toBeUndefined();
  expect(listings()).toBe(1);

  expect(await look(storage, DIGESTS.slice(0, 20))).toHaveLength(20);
  expect(listings()).toBe(1);
});
