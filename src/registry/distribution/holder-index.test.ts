import { beforeEach, describe, expect, test } from 'vitest';

import type { StorageDriver, StorageKey } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/drivers/memory.ts';
import { HolderIndex } from './holder-index.ts';
import { holderKey, holdersPrefix, layerLinkKey } from './layout.ts';
import { parseRepositoryName } from './reference.ts';
import { call, digestOf } from './testing.ts';

const DIGEST = digestOf('x');
const NAME = parseRepositoryName('library/alpine');

describe('HolderIndex', () => {
  let storage: StorageDriver;
  let index: HolderIndex;
  beforeEach(() => {
    storage = createMemoryDriver();
    index = new HolderIndex(storage);
  });

  async function link(): Promise<void> {
    await storage.put(layerLinkKey(NAME, DIGEST), Buffer.from(DIGEST));
  }

  test('names the first repositories that may have a blob', async () => {
    for (const name of ['c', 'a/b', 'a-b', 'b']) await index.add(parseRepositoryName(name), DIGEST, call());
    await index.add(NAME, digestOf('x', 'sha512'), call());
    await storage.put(`${holdersPrefix(DIGEST)}UPPER` as StorageKey, new Uint8Array());

    expect(await index.candidates(DIGEST, 8, call())).toEqual(['a-b', 'a/b', 'b', 'c']);
    expect(await index.candidates(DIGEST, 3, call())).toEqual(['a-b', 'a/b']);
    expect(await index.candidates(digestOf('y'), 3, call())).toEqual([]);
  });

  test('adds an entry only for a link', async () => {
    expect(await index.note(NAME, DIGEST, call())).toBe(false);
    expect(await storage.stat(holderKey(DIGEST, NAME))).toBeUndefined();
    await link();

    expect(await index.note(NAME, DIGEST, call())).toBe(true);
    expect(await index.note(NAME, DIGEST, call())).toBe(false);
  });

  test('removes an entry only without a link, and puts it back when a push came in between', async () => {
    await link();
    await index.add(NAME, DIGEST, call());
    expect(await index.forgetIfGone(NAME, DIGEST, call())).toBe(false);
    await storage.delete([layerLinkKey(NAME, DIGEST)]);
    const remove = storage.delete.bind(storage);
    storage.delete = async (keys) => {
      await remove(keys);
      await link();
    };

    expect(await index.forgetIfGone(NAME, DIGEST, call())).toBe(false);
    expect(await storage.stat(holderKey(DIGEST, NAME))).toBeDefined();

    storage.delete = remove;
    await storage.delete([layerLinkKey(NAME, DIGEST)]);
    expect(await index.forgetIfGone(NAME, DIGEST, call())).toBe(true);
    expect(await storage.stat(holderKey(DIGEST, NAME))).toBeUndefined();
  });
});
