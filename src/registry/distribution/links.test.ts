import { expect, test } from 'vitest';

import type { StorageDriver } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/drivers/memory.ts';
import { catalogKey, holderKey, layerLinkKey, revisionLinkKey } from './layout.ts';
import { Links } from './links.ts';
import { call, digestOf, keysOf, REPOSITORY } from './testing.ts';

const DIGEST = digestOf('x');

/** Every change that the storage has seen, in order. */
function recordChanges(storage: StorageDriver): string[] {
  const changes: string[] = [];
  const put = storage.put.bind(storage);
  const remove = storage.delete.bind(storage);
  storage.put = async (key, ...rest) => {
    changes.push(`put ${key}`);
    return put(key, ...rest);
  };
  storage.delete = async (keys, options) => {
    changes.push(...keys.map((key) => `delete ${key}`));
    await remove(keys, options);
  };
  return changes;
}

test('a repository is noted once for all its manifests', async () => {
  const storage = createMemoryDriver();
  const changes = recordChanges(storage);
  const links = new Links(storage, undefined);

  for (const digest of [DIGEST, digestOf('y')]) {
    await links.linkRevision(REPOSITORY, digest, call());
    await links.noteRepository(REPOSITORY, call());
  }

  expect(changes).toEqual([
    `put ${revisionLinkKey(REPOSITORY, DIGEST)}`,
    `put ${catalogKey(REPOSITORY)}`,
    `put ${revisionLinkKey(REPOSITORY, digestOf('y'))}`,
  ]);
});

test('a blob is noted by every digest that it is linked by', async () => {
  const storage = createMemoryDriver();
  const links = new Links(storage, undefined);
  const sha512 = digestOf('x', 'sha512');

  await links.linkLayer(REPOSITORY, sha512, DIGEST, call());

  expect(await keysOf(storage)).toEqual(
    [
      catalogKey(REPOSITORY),
      holderKey(DIGEST, REPOSITORY),
      holderKey(sha512, REPOSITORY),
      layerLinkKey(REPOSITORY, DIGEST),
      layerLinkKey(REPOSITORY, sha512),
    ].toSorted(),
  );
  expect(await links.read(layerLinkKey(REPOSITORY, sha512), call())).toBe(DIGEST);
});

test('a link is gone before its entries', async () => {
  const storage = createMemoryDriver();
  const links = new Links(storage, undefined);
  await links.linkLayer(REPOSITORY, DIGEST, DIGEST, call());
  const changes = recordChanges(storage);

  await links.unlinkLayer(REPOSITORY, DIGEST, call());

  expect(changes[0]).toBe(`delete ${layerLinkKey(REPOSITORY, DIGEST)}`);
  expect(changes.slice(1).toSorted()).toEqual([
    `delete ${catalogKey(REPOSITORY)}`,
    `delete ${holderKey(DIGEST, REPOSITORY)}`,
  ]);
});

test('a failure is told when nothing is being written any more', async () => {
  const storage = createMemoryDriver();
  const links = new Links(storage, undefined);
  const put = storage.put.bind(storage);
  let running = 0;
  storage.put = async (key, ...rest) => {
    if (key === holderKey(DIGEST, REPOSITORY)) throw new Error('no room');
    running++;
    await new Promise((resolve) => setTimeout(resolve, 10));
    running--;
    return put(key, ...rest);
  };

  await expect(links.linkLayer(REPOSITORY, DIGEST, DIGEST, call())).rejects.toThrow('no room');

  expect(running).toBe(0);
});
