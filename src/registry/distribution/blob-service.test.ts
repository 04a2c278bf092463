import { describe, expect, test } from 'vitest';

import type { ByteReader } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/drivers/memory.ts';
import { StorageError } from '../storage/errors.ts';
import { blobDataKey, catalogKey, holderKey, layerLinkKey } from './layout.ts';
import { OCTET_STREAM } from './media-types.ts';
import { parseRepositoryName } from './reference.ts';
import {
  bodyOf,
  call,
  contentOf,
  createTestRegistry,
  digestOf,
  keysOf,
  pushBlob,
  REPOSITORY,
  refusal,
  someBytes,
} from './testing.ts';

const OTHER = parseRepositoryName('library/busybox');

test('gives back what was pushed, whole and in part', async () => {
  const registry = createTestRegistry();
  const bytes = someBytes(100_000);
  const { digest } = await pushBlob(registry, bytes);

  const range = await registry.blobs.open(REPOSITORY, digest, { start: 10, end: 19 }, call());

  expect((await contentOf(registry, digest)).equals(bytes)).toBe(true);
  expect(range.descriptor).toEqual({ mediaType: OCTET_STREAM, digest, size: 100_000 });
  expect(range.reader.size).toBe(10);
  expect(Buffer.from((await range.reader.read()) ?? []).equals(bytes.subarray(10, 20))).toBe(true);
});

test('a blob exists only where it was pushed', async () => {
  const registry = createTestRegistry();
  const { digest } = await pushBlob(registry, 'x');

  expect(await refusal(registry.blobs.stat(OTHER, digest, call()))).toBe('BLOB_UNKNOWN 404');
  expect(await refusal(registry.blobs.open(OTHER, digest, undefined, call()))).toBe('BLOB_UNKNOWN 404');
  expect(await refusal(registry.blobs.open(OTHER, digest, { start: 0, end: 0 }, call()))).toBe(
    'BLOB_UNKNOWN 404',
  );
  expect(await refusal(registry.blobs.delete(OTHER, digest, call()))).toBe('BLOB_UNKNOWN 404');
});

test('a sha512 blob is stored below its sha256 and found by both', async () => {
  const registry = createTestRegistry();
  const digest = digestOf('x', 'sha512');

  const pushed = await registry.uploads.push(REPOSITORY, digest, bodyOf('x'), call());

  expect(pushed).toEqual({ mediaType: OCTET_STREAM, digest, size: 1 });
  expect(await registry.blobs.stat(REPOSITORY, digest, call())).toEqual(pushed);
  expect((await contentOf(registry, digest)).toString()).toBe('x');
  expect((await contentOf(registry, digestOf('x'))).toString()).toBe('x');
  const link = await registry.storage.get(layerLinkKey(REPOSITORY, digest), 1000);
  expect(Buffer.from(link ?? []).toString()).toBe(digestOf('x'));
  expect(await registry.storage.stat(blobDataKey(digest))).toBeUndefined();
  await registry.blobs.delete(REPOSITORY, digest, call());
  expect(await refusal(registry.blobs.stat(REPOSITORY, digest, call()))).toBe('BLOB_UNKNOWN 404');
});

test('a delete takes away the digest that it names, and none that an image may use', async () => {
  const registry = createTestRegistry();
  const [sha256, sha512] = [digestOf('x'), digestOf('x', 'sha512')];
  const seen = async (): Promise<string[]> =>
    Promise.all([sha256, sha512].map((digest) => refusal(registry.blobs.stat(REPOSITORY, digest, call()))));
  await registry.uploads.push(REPOSITORY, sha512, bodyOf('x'), call());

  await registry.blobs.delete(REPOSITORY, sha512, call());
  expect(await seen()).toEqual(['accepted', 'BLOB_UNKNOWN 404']);

  await registry.uploads.push(REPOSITORY, sha512, bodyOf('x'), call());
  await registry.blobs.delete(REPOSITORY, sha256, call());
  expect(await seen()).toEqual(['BLOB_UNKNOWN 404', 'accepted']);
});

test('a sha512 blob that is stored below its sha512 is found too', async () => {
  const registry = createTestRegistry();
  const digest = digestOf('x', 'sha512');
  await registry.storage.put(blobDataKey(digest), Buffer.from('x'));
  await registry.storage.put(layerLinkKey(REPOSITORY, digest), Buffer.from(digest));

  expect((await contentOf(registry, digest)).toString()).toBe('x');
  const part = await registry.blobs.open(REPOSITORY, digest, { start: 0, end: 0 }, call());
  expect(part.descriptor.size).toBe(1);
});

test('mounts a blob that the source has', async () => {
  const registry = createTestRegistry();
  const { digest } = await pushBlob(registry, 'x');
  const sha512 = digestOf('y', 'sha512');
  await registry.uploads.push(REPOSITORY, sha512, bodyOf('y'), call());

  expect(await registry.blobs.mount(OTHER, digestOf('z'), REPOSITORY, call())).toBeUndefined();
  expect(await registry.blobs.mount(OTHER, digest, REPOSITORY, call())).toMatchObject({ digest, size: 1 });
  expect(await registry.blobs.mount(OTHER, sha512, REPOSITORY, call())).toMatchObject({ digest: sha512 });

  expect((await contentOf(registry, digest, OTHER)).toString()).toBe('x');
  expect((await contentOf(registry, sha512, OTHER)).toString()).toBe('y');
  expect(await registry.blobs.stat(OTHER, digestOf('y'), call())).toMatchObject({ size: 1 });
});

describe('a mount whose source does not help', () => {
  test.each([
    { algorithm: 'sha256', from: undefined },
    { algorithm: 'sha512', from: undefined },
    { algorithm: 'sha256', from: parseRepositoryName('without/it') },
  ] as const)(
    'finds a $algorithm blob in any repository that has it, from $from',
    async ({ algorithm, from }) => {
      const registry = createTestRegistry();
      const digest = digestOf('x', algorithm);
      await registry.uploads.push(REPOSITORY, digest, bodyOf('x'), call());

      const mounted = await registry.blobs.mount(OTHER, digest, from, call());

      expect(mounted).toEqual({ mediaType: OCTET_STREAM, digest, size: 1 });
      expect((await contentOf(registry, digest, OTHER)).toString()).toBe('x');
    },
  );

  test('finds nothing once the blob was deleted there', async () => {
    const registry = createTestRegistry();
    const { digest } = await pushBlob(registry, 'x');
    await registry.blobs.delete(REPOSITORY, digest, call());

    expect(await registry.blobs.mount(OTHER, digest, REPOSITORY, call())).toBeUndefined();
    expect(await registry.blobs.mount(OTHER, digest, undefined, call())).toBeUndefined();
    expect(await refusal(registry.blobs.stat(OTHER, digest, call()))).toBe('BLOB_UNKNOWN 404');
  });

  test('believes no entry without the link, and tries a bounded number of them', async () => {
    const registry = createTestRegistry();
    const { digest } = await pushBlob(registry, 'x', parseRepositoryName('z'));
    for (const name of ['a', 'b', 'c']) {
      await registry.storage.put(holderKey(digest, parseRepositoryName(name)), new Uint8Array());
    }
    expect(await registry.blobs.mount(OTHER, digest, undefined, call())).toMatchObject({ digest });
    await registry.blobs.delete(OTHER, digest, call());

    for (let count = 0; count < 100; count++) {
      await registry.storage.put(holderKey(digest, parseRepositoryName(`stale/${count}`)), new Uint8Array());
    }
    expect(await registry.blobs.mount(OTHER, digest, undefined, call())).toBeUndefined();
    expect(await registry.storage.stat(layerLinkKey(OTHER, digest))).toBeUndefined();
  });

  test('is not kept from a repository that comes after many of other people', async () => {
    const registry = createTestRegistry();
    for (let count = 0; count < 20; count++) {
      await pushBlob(registry, 'x', parseRepositoryName(`foreign/${count}`));
    }
    await pushBlob(registry, 'x', parseRepositoryName('mine/source'));
    const mine = { ...call(), mayPull: (name: string) => name.startsWith('mine/') };

    const mounted = await registry.blobs.mount(OTHER, digestOf('x'), undefined, mine);

    expect(mounted).toMatchObject({ digest: digestOf('x') });
  });

  test('takes no repository from which the client may not pull', async () => {
    const registry = createTestRegistry();
    const { digest } = await pushBlob(registry, 'x');
    const asked: string[] = [];
    const mayPull = (name: string): boolean => {
      asked.push(name);
      return false;
    };

    expect(await registry.blobs.mount(OTHER, digest, undefined, { ...call(), mayPull })).toBeUndefined();

    expect(asked).toEqual([REPOSITORY]);
  });
});

test('deleting takes the entries of the indexes along, as far as nothing is left', async () => {
  const registry = createTestRegistry();
  const [x, y] = [await pushBlob(registry, 'x'), await pushBlob(registry, 'y')];
  const entries = async (): Promise<string[]> => {
    const keys = await keysOf(registry.storage);
    return keys.filter((key) => /_catalog|_repositories/.test(key));
  };
  const catalog = catalogKey(REPOSITORY);

  expect(await entries()).toEqual(
    [catalog, holderKey(x.digest, REPOSITORY), holderKey(y.digest, REPOSITORY)].toSorted(),
  );
  await registry.blobs.delete(REPOSITORY, x.digest, call());
  expect(await entries()).toEqual([catalog, holderKey(y.digest, REPOSITORY)]);
  await registry.blobs.delete(REPOSITORY, y.digest, call());
  expect(await entries()).toEqual([]);
  await pushBlob(registry, 'x');
  expect(await entries()).toEqual([catalog, holderKey(x.digest, REPOSITORY)]);
});

test('deleting removes the blob from one repository', async () => {
  const registry = createTestRegistry();
  const { digest } = await pushBlob(registry, 'x');
  await pushBlob(registry, 'x', OTHER);

  await registry.blobs.delete(REPOSITORY, digest, call());

  expect(await refusal(registry.blobs.stat(REPOSITORY, digest, call()))).toBe('BLOB_UNKNOWN 404');
  expect(await refusal(registry.blobs.delete(REPOSITORY, digest, call()))).toBe('BLOB_UNKNOWN 404');
  expect((await contentOf(registry, digest, OTHER)).toString()).toBe('x');
});

test('a delete leaves the link of a blob whose content is on its way', async () => {
  const registry = createTestRegistry();
  const { digest } = await pushBlob(registry, 'x', OTHER);
  await registry.storage.delete([blobDataKey(digest)]);
  await registry.storage.put(layerLinkKey(REPOSITORY, digest), Buffer.from(digest));

  expect(await refusal(registry.blobs.delete(REPOSITORY, digest, call()))).toBe('BLOB_UNKNOWN 404');

  await registry.storage.put(blobDataKey(digest), Buffer.from('x'));
  expect(await registry.blobs.stat(REPOSITORY, digest, call())).toMatchObject({ digest });
});

test('a link without content, and a damaged link, make no blob', async () => {
  const registry = createTestRegistry();
  const lost = await pushBlob(registry, 'lost');
  const damaged = await pushBlob(registry, 'damaged');
  await registry.storage.delete([blobDataKey(lost.digest)]);
  await registry.storage.put(layerLinkKey(REPOSITORY, damaged.digest), new Uint8Array());

  for (const { digest } of [lost, damaged]) {
    expect(await refusal(registry.blobs.stat(REPOSITORY, digest, call()))).toBe('BLOB_UNKNOWN 404');
    expect(await refusal(registry.blobs.open(REPOSITORY, digest, undefined, call()))).toBe(
      'BLOB_UNKNOWN 404',
    );
  }
});

test('a reader that was opened in vain is closed', async () => {
  const storage = createMemoryDriver();
  const open: ByteReader[] = [];
  let linkFails = false;
  const stat = storage.stat.bind(storage);
  const openStored = storage.open.bind(storage);
  storage.stat = async (key, options) => {
    if (linkFails) throw new StorageError('UNAVAILABLE', { driver: 'test', operation: 'stat', message: '' });
    return stat(key, options);
  };
  storage.open = async (...parameters) => {
    const reader = await openStored(...parameters);
    if (reader === undefined) return undefined;
    const counting: ByteReader = {
      size: reader.size,
      read: () => reader.read(),
      close: async () => {
        open.splice(open.indexOf(counting), 1);
        await reader.close();
      },
    };
    open.push(counting);
    return counting;
  };
  const registry = createTestRegistry(storage);
  const { digest } = await pushBlob(registry, 'x');

  await refusal(registry.blobs.open(OTHER, digest, undefined, call()));
  linkFails = true;
  await expect(registry.blobs.open(REPOSITORY, digest, undefined, call())).rejects.toThrow(StorageError);

  expect(open).toEqual([]);
});
