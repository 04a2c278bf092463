import { mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { BufferPool } from '../storage/buffer-pool.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { createFilesystemDriver } from '../storage/drivers/filesystem.ts';
import { createMemoryDriver } from '../storage/drivers/memory.ts';
import type { Digest } from './digest.ts';
import { revisionLinkKey } from './layout.ts';
import { type Candidate, RevisionListing } from './revision-listing.ts';
import { call, digestOf, REPOSITORY } from './testing.ts';

/** Of both algorithms, in byte order. */
const DIGESTS = Array.from({ length: 3000 }, (_, index) =>
  digestOf(`${index}`, index % 3 === 0 ? 'sha512' : 'sha256'),
).toSorted();

async function link(storage: StorageDriver, digests: readonly Digest[]): Promise<void> {
  for (const digest of digests) await storage.put(revisionLinkKey(REPOSITORY, digest), Buffer.from(digest));
}

async function look(storage: StorageDriver, digests: readonly Digest[]): Promise<readonly Candidate[]> {
  const { candidates } = await new RevisionListing(storage, () => 0).look(REPOSITORY, digests, call());
  return candidates;
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
    fc.asyncProperty(known, known, async (linked, asked) => {
      const storage = createMemoryDriver();
      await link(storage, linked);
      const there = new Set(linked);

      const found = await look(storage, asked);

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

test('believes in links of a folder that stays as it is, and looks at all again when it changes or has been long', async () => {
  const root = await mkdtemp(join(tmpdir(), 'revisions-'));
  try {
    const storage = await createFilesystemDriver({ root, buffers: new BufferPool(8 << 20) });
    const asked = DIGESTS.filter((digest) => digest.startsWith('sha256')).slice(0, 50);
    await link(storage, asked);
    const folder = join(root, dirname(dirname(revisionLinkKey(REPOSITORY, digestOf('x')))));
    let now = Date.now();
    const listing = new RevisionListing(storage, () => now);
    const known = async (): Promise<number> => {
      const { candidates, confirm } = await listing.look(REPOSITORY, asked, call());
      confirm(asked.slice(0, 40));
      return candidates.filter(({ isLinked }) => isLinked === true).length;
    };

    // A folder that has just changed may change again without a new time.
    expect([await known(), await known()]).toEqual([0, 0]);
    const old = new Date(now - 60_000);
    await utimes(folder, old, old);
    expect([await known(), await known()]).toEqual([0, 40]);

    await storage.delete([revisionLinkKey(REPOSITORY, asked[3] ?? digestOf(''))]);
    await utimes(folder, old, old);
    expect([await known(), await known()]).toEqual([0, 40]);

    now += 31_000;
    expect(await known()).toBe(0);
    now -= 60_000;
    expect(await known()).toBe(0);
  } finally {
    await rm(root, { recursive: true });
  }
});
