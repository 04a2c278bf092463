import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, describe, expect, test } from 'vitest';

import { StorageConfig } from '../../api/registry-config.ts';
import { createStorage } from '../storage/create.ts';
import type { StorageDriver, StorageKey } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/drivers/memory.ts';
import {
  blobDataKey,
  catalogKey,
  layersPrefix,
  referrersCompleteKey,
  repositoryFolderPrefix,
} from './layout.ts';
import { OCI_MANIFEST } from './media-types.ts';
import type { RepositoryName } from './names.ts';
import { parseReference, parseRepositoryName } from './reference.ts';
import { guarded, RepositoryGuard } from './repository-guard.ts';
import { RepositoryService } from './repository-service.ts';
import {
  bodyOf,
  call,
  contentOf,
  createTestRegistry,
  digestOf,
  imageManifest,
  keysOf,
  pushBlob,
  pushImage,
  refusal,
  REPOSITORY,
  type TestRegistry,
} from './testing.ts';

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

interface Site extends TestRegistry {
  readonly repositories: RepositoryService;
  readonly pushManifest: (name: RepositoryName, reference: string, bytes: Uint8Array) => Promise<unknown>;
}

function createSite(storage: StorageDriver = createMemoryDriver()): Site {
  const registry = createTestRegistry(storage);
  const guard = new RepositoryGuard();
  const manifests = guarded(registry.manifests, guard);
  return {
    ...registry,
    repositories: new RepositoryService({ storage, uploads: registry.uploads, guard }),
    pushManifest: (name, reference, bytes) =>
      manifests.put(name, parseReference(reference), { contentType: OCI_MANIFEST, bytes }, call()),
  };
}

async function filesystem(): Promise<{ storage: StorageDriver; folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'repository-service-'));
  folders.push(folder);
  const config = StorageConfig.parse({ driver: 'filesystem', rootDirectory: folder });
  const options = { metrics: { observe() {}, error() {} }, bufferBytes: 1 << 20 };
  return { storage: await createStorage(config, options), folder };
}

/** Keys of everything but content. */
async function linksOf(storage: StorageDriver): Promise<string[]> {
  return (await keysOf(storage)).filter((key) => !key.startsWith('docker/registry/v2/blobs/'));
}

async function delay(turns: number): Promise<void> {
  for (let count = 0; count < turns; count++) await Promise.resolve();
}

const A = parseRepositoryName('a');
const NESTED = ['a/b', 'a-b', 'a.b', 'ab', 'a/b/c'].map((name) => parseRepositoryName(name));

describe('deleting a repository', () => {
  test.each(['memory', 'filesystem'])(
    'leaves nothing of it and every other one as it is, on %s',
    async (driver) => {
      const site = createSite(driver === 'memory' ? createMemoryDriver() : (await filesystem()).storage);
      for (const name of NESTED) await pushImage(site, 'latest', { name, salt: name });
      const before = await linksOf(site.storage);
      const content = (await keysOf(site.storage)).filter((key) => key.includes('/blobs/'));
      await pushImage(site, 'latest', { name: A, salt: 'a/b' });
      await site.uploads.push(A, digestOf('x', 'sha512'), bodyOf('x'), call());
      await site.uploads.start(A, call());
      const started = await site.uploads.start(A, call());
      await site.uploads.append(A, started.id, bodyOf('unfinished'), call());
      await site.storage.put(referrersCompleteKey(A), Buffer.from('1'));

      await site.repositories.delete(A, call());

      expect(await linksOf(site.storage)).toEqual(before);
      expect(await keysOf(site.storage)).toEqual(expect.arrayContaining(content));
      expect((await contentOf(site, digestOf('layer a/b'), parseRepositoryName('a/b'))).toString()).toBe(
        'layer a/b',
      );
      expect(await refusal(site.uploads.status(A, started.id, call()))).toBe('BLOB_UPLOAD_UNKNOWN 404');
      expect(await refusal(site.repositories.delete(A, call()))).toBe('NAME_UNKNOWN 404');
      expect(await refusal(site.tags.list(A, {}, call()))).toBe('NAME_UNKNOWN 404');
    },
  );

  test('takes more than one page of links', async () => {
    const site = createSite();
    for (let count = 0; count < 1200; count++) {
      const hex = digestOf(String(count)).slice('sha256:'.length);
      await site.storage.put(
        `${layersPrefix(A)}sha256/${hex}/link` as StorageKey,
        Buffer.from(`sha256:${hex}`),
      );
    }

    await site.repositories.delete(A, call());

    expect(await keysOf(site.storage)).toEqual([]);
  });

  test('is for repositories that exist, be it as a rest only', async () => {
    const site = createSite();
    await pushImage(site, 'latest', { name: parseRepositoryName('a/b') });

    expect(await refusal(site.repositories.delete(A, call()))).toBe('NAME_UNKNOWN 404');
    await site.storage.put(referrersCompleteKey(A), Buffer.from('1'));
    expect(await refusal(site.repositories.delete(A, call()))).toBe('accepted');
    await site.storage.put(catalogKey(A), new Uint8Array());
    expect(await refusal(site.repositories.delete(A, call()))).toBe('accepted');
    expect(await refusal(site.repositories.delete(A, call()))).toBe('NAME_UNKNOWN 404');
  });

  test('removes tags before anything else, and goes on where it was interrupted', async () => {
    const site = createSite();
    await pushImage(site, 'latest', { name: A });
    const remove = site.storage.delete.bind(site.storage);
    let left = 1;
    site.storage.delete = async (keys, options) => {
      if (left-- === 0) throw new Error('interrupted');
      await remove(keys, options);
    };

    await expect(site.repositories.delete(A, call())).rejects.toThrow('interrupted');
    expect(await refusal(site.manifests.stat(A, parseReference('latest'), call()))).toBe(
      'MANIFEST_UNKNOWN 404',
    );
    expect((await site.tags.list(A, {}, call())).tags).toEqual([]);
    const attempts = 20;
    for (let attempt = 1; attempt <= attempts; attempt++) {
      left = attempt;
      const outcome = await site.repositories.delete(A, call()).catch(() => 'interrupted');
      if (outcome !== 'interrupted') break;
      expect(attempt).toBeLessThan(attempts);
    }

    expect(await linksOf(site.storage)).toEqual([]);
  });

  test('removes the empty folders that other servers leave behind', async () => {
    const { storage, folder } = await filesystem();
    const site = createSite(storage);
    const repository = join(folder, repositoryFolderPrefix(A));
    await mkdir(join(repository, '_layers/sha256', 'ab'.repeat(32)), { recursive: true });
    await mkdir(join(repository, '_manifests/tags'), { recursive: true });
    await pushBlob(site, 'x', parseRepositoryName('a/b'));

    await site.repositories.delete(A, call());

    expect(await readdir(repository)).toEqual(['b']);
  });
});

describe('a push that runs meanwhile', () => {
  test('is refused or whole, wherever it stands', async () => {
    const outcomes = new Set<string>();
    for (let turn = 0; turn < 60; turn++) {
      const site = createSite();
      await pushImage(site, 'old', { name: REPOSITORY, salt: 'old' });
      const config = await pushBlob(site, '{}');
      const layer = await pushBlob(site, `layer ${turn}`);
      const manifest = imageManifest(config, [layer]);
      const [, pushed] = await Promise.all([
        delay(turn % 2 === 0 ? turn : 0).then(() => site.repositories.delete(REPOSITORY, call())),
        delay(turn % 2 === 0 ? 0 : turn).then(() => refusal(site.pushManifest(REPOSITORY, 'new', manifest))),
      ]);

      outcomes.add(pushed);
      expect(await linksOf(site.storage)).toEqual([]);
    }
    expect([...outcomes].toSorted()).toEqual(['MANIFEST_BLOB_UNKNOWN 400', 'accepted']);
  });

  test('is waited for between its look for the layers and its link', async () => {
    const site = createSite();
    const config = await pushBlob(site, '{}');
    const manifest = imageManifest(config, []);
    const reached = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    const put = site.storage.put.bind(site.storage);
    site.storage.put = async (key, ...rest) => {
      if (key === blobDataKey(digestOf(manifest))) {
        reached.resolve();
        await released.promise;
      }
      return put(key, ...rest);
    };

    const push = refusal(site.pushManifest(REPOSITORY, 'new', manifest));
    await reached.promise;
    const deletion = site.repositories.delete(REPOSITORY, call());
    await delay(1000);
    released.resolve();
    await deletion;

    expect(await push).toBe('accepted');
    expect(await linksOf(site.storage)).toEqual([]);
  });

  test('makes the repository anew when it comes later', async () => {
    const site = createSite();
    await pushImage(site, 'old', { name: REPOSITORY, salt: 'old' });

    await site.repositories.delete(REPOSITORY, call());
    await pushImage(site, 'new', { name: REPOSITORY, salt: 'new' });

    expect((await site.catalog.list({}, call())).repositories).toEqual([REPOSITORY]);
    expect((await site.tags.list(REPOSITORY, {}, call())).tags).toEqual(['new']);
    expect(await linksOf(site.storage)).toContain(catalogKey(REPOSITORY));
  });
});
