import { describe, expect, test } from 'vitest';

import type { StorageDriver, StorageKey } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/drivers/memory.ts';
import { StorageError } from '../storage/errors.ts';
import { CatalogIndex } from './catalog-index.ts';
import { IndexRepair } from './index-repair.ts';
import {
  blobDataKey,
  catalogKey,
  holderKey,
  indexesCompleteKey,
  layerLinkKey,
  referrerKey,
  referrersCompleteKey,
  revisionLinkKey,
  tagCurrentKey,
} from './layout.ts';
import { OCI_MANIFEST } from './media-types.ts';
import type { RepositoryName } from './names.ts';
import { parseReference, parseRepositoryName, parseTag } from './reference.ts';
import { ReferrerIndex } from './referrer-index.ts';
import {
  bodyOf,
  call,
  createTestRegistry,
  digestOf,
  imageManifest,
  keysOf,
  pushBlob,
  pushImage,
  type TestRegistry,
} from './testing.ts';

const INDEX = /\/v2\/(?:_catalog|_repositories|_indexes)\//;

function named(text: string): RepositoryName {
  return parseRepositoryName(text);
}

interface Site extends TestRegistry {
  readonly repair: IndexRepair;
  /** `catalog added` and so on, in order. */
  readonly repairs: string[];
  readonly compare: () => Promise<void>;
}

function createSite(
  storage: StorageDriver = createMemoryDriver(),
  referrers: Pick<ReferrerIndex, 'isComplete' | 'rebuild'> = new ReferrerIndex({ storage }),
): Site {
  const registry = createTestRegistry(storage);
  const repairs: string[] = [];
  const repair = new IndexRepair({
    storage,
    referrers,
    logger: { debug: () => undefined, warn: (_fields, message) => void registry.warnings.push(message) },
    onRepair: (index, action) => void repairs.push(`${index} ${action}`),
  });
  const compare = async (): Promise<void> => {
    await repair.compareCatalog(call());
    await repair.compareContent(call());
  };
  return { ...registry, repair, repairs, compare };
}

async function indexOf(storage: StorageDriver): Promise<string[]> {
  return (await keysOf(storage)).filter((key) => INDEX.test(key));
}

async function forgetIndexes(storage: StorageDriver): Promise<void> {
  const keys = (await keysOf(storage)).filter((key) => INDEX.test(key) || key.includes('/_referrers/'));
  await storage.delete(keys as StorageKey[]);
}

describe('comparing the indexes with the content', () => {
  test('makes them anew where there are none, just as pushes make them', async () => {
    const site = createSite();
    for (const name of ['a', 'a/b', 'a-b/c', 'z'])
      await pushImage(site, 'latest', { name: named(name), salt: name });
    await site.uploads.push(named('z'), digestOf('x', 'sha512'), bodyOf('x'), call());
    const written = await indexOf(site.storage);
    await forgetIndexes(site.storage);

    await site.compare();

    expect(written).toHaveLength(4 + 4 * 2 + 2);
    expect(await indexOf(site.storage)).toEqual(written);
    expect(site.repairs.filter((entry) => entry === 'catalog added')).toHaveLength(4);
    expect(site.repairs.filter((entry) => entry === 'holders added')).toHaveLength(10);
    expect(site.repairs.filter((entry) => entry === 'referrers rebuilt')).toHaveLength(4);
  });

  test('finds nothing the second time', async () => {
    const site = createSite();
    await pushImage(site, 'latest', { name: named('a') });
    await site.compare();
    site.repairs.length = 0;

    await site.compare();

    expect(site.repairs).toEqual([]);
  });

  test('removes the entries of what is gone, at the ends and in between', async () => {
    const site = createSite();
    await pushImage(site, 'latest', { name: named('m') });
    const sound = await indexOf(site.storage);
    const catalog = new CatalogIndex(site.storage);
    for (const name of ['a', 'm-a', 'm/a', 'z']) await catalog.note(named(name), call());
    const stale = [
      holderKey(digestOf('gone'), named('m')),
      holderKey(digestOf('gone', 'sha512'), named('a/b')),
    ];
    for (const key of stale) await site.storage.put(key, new Uint8Array());

    await site.compare();

    expect(await indexOf(site.storage)).toEqual(sound);
    expect(site.repairs.filter((entry) => entry === 'catalog removed')).toHaveLength(4);
    expect(site.repairs.filter((entry) => entry === 'holders removed')).toHaveLength(2);
  });

  test('keeps the entry of a repository that was pushed behind the comparison', async () => {
    const site = createSite();
    await pushImage(site, 'latest', { name: named('z') });
    const list = site.storage.list.bind(site.storage);
    let pushing = false;
    site.storage.list = async (prefix, options) => {
      const page = await list(prefix, options);
      if (prefix.endsWith('/repositories/') && !pushing) {
        pushing = true;
        await pushImage(site, 'latest', { name: named('a') });
      }
      return page;
    };

    await site.repair.compareCatalog(call());

    expect(site.repairs).toEqual([]);
    expect(await site.storage.stat(catalogKey(named('a')))).toBeDefined();
  });

  test('adds no entry for a repository that is deleted in the meantime', async () => {
    const site = createSite();
    const { digest } = await pushBlob(site, 'x', named('a'));
    await forgetIndexes(site.storage);
    const put = site.storage.put.bind(site.storage);
    site.storage.put = async (key, ...rest) => {
      await site.storage.delete([layerLinkKey(named('a'), digest)]);
      return put(key, ...rest);
    };

    await site.repair.compareCatalog(call());

    expect(await keysOf(site.storage)).toEqual([expect.stringContaining('/blobs/')]);
    expect(site.repairs).toEqual([]);
  });

  test('reads the referrers of repositories that another server wrote', async () => {
    const site = createSite();
    const name = named('a');
    const subject = await pushImage(site, 'latest', { name });
    const config = await pushBlob(site, '{}', name);
    const bytes = imageManifest(config, [], { subject });
    const pushed = { contentType: OCI_MANIFEST, bytes };
    await site.manifests.put(name, parseReference(digestOf(bytes)), pushed, call());
    const written = (await keysOf(site.storage)).filter((key) => key.includes('/_referrers/sha256/'));
    await forgetIndexes(site.storage);

    await site.compare();

    expect(written).toHaveLength(1);
    expect(await keysOf(site.storage)).toEqual(
      expect.arrayContaining([...written, referrersCompleteKey(name)]),
    );
  });

  test('removes what is left of a tag when the process that removed it has died', async () => {
    const site = createSite();
    const name = named('a');
    await pushImage(site, 'v1', { name });
    await pushImage(site, 'v2', { name, salt: 'other' });
    await site.storage.delete([tagCurrentKey(name, parseTag('v1'))]);
    const before = (await site.tags.list(name, {}, call())).tags;

    await site.compare();

    expect(before).toEqual(['v1', 'v2']);
    expect((await site.tags.list(name, {}, call())).tags).toEqual(['v2']);
    expect(site.repairs).toContain('tags removed');
  });

  test('finds a referrer that another server linked after the index was complete', async () => {
    const site = createSite();
    const name = named('a');
    const subject = await pushImage(site, 'latest', { name });
    await site.compare();
    const bytes = imageManifest(await pushBlob(site, '{}', name), [], { subject });
    const referrer = digestOf(bytes);
    await site.storage.put(blobDataKey(referrer), bytes);
    await site.storage.put(revisionLinkKey(name, referrer), Buffer.from(referrer));

    await site.compare();

    expect(await keysOf(site.storage)).toContain(referrerKey(name, subject.digest, referrer));
  });
});

function failingFor(bad: (name: string) => boolean): Pick<ReferrerIndex, 'isComplete' | 'rebuild'> {
  return {
    isComplete: async () => false,
    rebuild: async (name) => {
      if (bad(name)) throw new Error(`${name} cannot be read`);
    },
  };
}

describe('failures', () => {
  test('of one repository leave the others their turn', async () => {
    const storage = createMemoryDriver();
    const site = createSite(
      storage,
      failingFor((name) => name === 'b'),
    );
    for (const name of ['a', 'b', 'c']) await pushBlob(site, name, named(name));
    const written = await indexOf(storage);
    await forgetIndexes(storage);

    await site.compare();

    expect(await indexOf(storage)).toEqual(written);
    expect(site.warnings).toEqual(['the indexes could not be compared']);
  });

  test('of many repositories are those of the storage', async () => {
    const site = createSite(
      createMemoryDriver(),
      failingFor(() => true),
    );
    for (let count = 0; count < 20; count++) await pushBlob(site, 'x', named(`r${count}`));

    await expect(site.compare()).rejects.toThrow('cannot be read');

    expect(site.warnings.length).toBeLessThan(20);
  });

  test('to write leave everything that is served as it is', async () => {
    const site = createSite();
    await pushImage(site, 'latest', { name: named('a') });
    await forgetIndexes(site.storage);
    site.storage.put = () =>
      Promise.reject(
        new StorageError('ACCESS_DENIED', { driver: 'test', operation: 'put', message: 'read-only' }),
      );

    await expect(site.repair.compareCatalog(call())).rejects.toThrow('read-only');

    expect((await site.catalog.list({}, call())).repositories).toEqual(['a']);
  });

  test('a call that is cancelled ends', async () => {
    const site = createSite();
    await pushImage(site, 'latest', { name: named('a') });
    const controller = new AbortController();
    controller.abort(new Error('stopping'));

    await expect(site.repair.compareCatalog({ signal: controller.signal })).rejects.toThrow('stopping');
    await expect(site.repair.compareContent({ signal: controller.signal })).rejects.toThrow('stopping');
  });
});

test('the mark tells when the last comparison ended', async () => {
  const { repair, storage } = createSite();

  expect(await repair.lastComplete(call())).toBeUndefined();
  await repair.markComplete(new Date('2026-11-21T10:00:00.000Z'), call());
  expect(await repair.lastComplete(call())).toEqual(new Date('2026-11-21T10:00:00.000Z'));
  await storage.put(indexesCompleteKey(), Buffer.from('whenever'));
  expect(await repair.lastComplete(call())).toBeUndefined();
});
