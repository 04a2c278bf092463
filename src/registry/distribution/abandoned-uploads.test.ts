import { mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { expect, test } from 'vitest';

import { BufferPool } from '../storage/buffer-pool.ts';
import { createFilesystemDriver } from '../storage/drivers/filesystem.ts';
import { createMemoryDriver } from '../storage/drivers/memory.ts';
import { listedKey, uploadStartedKey } from './layout.ts';
import { parseRepositoryName, parseUploadId } from './reference.ts';
import {
  bodyOf,
  call,
  contentOf,
  createTestRegistry,
  digestOf,
  keysOf,
  pushBlob,
  REPOSITORY,
} from './testing.ts';

const OTHER = parseRepositoryName('library/busybox');
const UNKNOWN_ID = parseUploadId('0f8fad5b-d9cb-469f-a165-70867728950e');
const NOON = new Date('2030-01-01T12:00:00Z');

test('a purge removes sessions that were started before the moment', async () => {
  const storage = createMemoryDriver({ now: () => new Date('2026-11-21T10:00:00Z') });
  const registry = createTestRegistry(storage);
  const old = await registry.uploads.start(REPOSITORY, call());
  await registry.uploads.append(REPOSITORY, old.id, bodyOf('abc'), call());
  await registry.uploads.start(OTHER, call());
  const young = await registry.uploads.start(REPOSITORY, call());
  await storage.put(uploadStartedKey(REPOSITORY, young.id), Buffer.from('2030-01-02T00:00:00Z'));
  await pushBlob(registry, 'x');

  expect(await registry.uploads.purge(NOON, call())).toBe(2);

  const left = (await keysOf(storage)).filter((key) => key.includes('/_uploads/'));
  expect(left).toEqual([uploadStartedKey(REPOSITORY, young.id)]);
  expect((await contentOf(registry, digestOf('x'))).toString()).toBe('x');
});

test('a purge leaves a session that was written to since, by whatever replica', async () => {
  let now = new Date('2026-11-21T10:00:00Z');
  const storage = createMemoryDriver({ now: () => now });
  const registry = createTestRegistry(storage);
  const { id } = await registry.uploads.start(REPOSITORY, call());
  now = new Date('2030-01-01T13:00:00Z');
  await createTestRegistry(storage).uploads.append(REPOSITORY, id, bodyOf('abc'), call());

  expect(await registry.uploads.purge(NOON, call())).toBe(0);
  expect(await registry.uploads.purge(new Date('2030-01-01T14:00:00Z'), call())).toBe(1);

  expect(await keysOf(storage)).toEqual([]);
});

test('a purge removes an old session with bytes from files, where its lock is new', async () => {
  const root = await mkdtemp(join(tmpdir(), 'abandoned-'));
  try {
    const storage = await createFilesystemDriver({ root, buffers: new BufferPool(1 << 20), sync: false });
    const { uploads } = createTestRegistry(storage);
    const { id } = await uploads.start(REPOSITORY, call());
    await uploads.append(REPOSITORY, id, bodyOf('abc'), call());
    await uploads.close();
    const lastYear = new Date('2025-01-01T00:00:00Z');
    await storage.put(uploadStartedKey(REPOSITORY, id), Buffer.from(lastYear.toISOString()));
    const folder = join(root, dirname(uploadStartedKey(REPOSITORY, id)));
    for (const name of ['', 'data', 'startedat']) await utimes(join(folder, name), lastYear, lastYear);

    const purged = await createTestRegistry(storage).uploads.purge(new Date('2025-01-02T00:00:00Z'), call());

    expect(purged).toBe(1);
    expect(await keysOf(storage)).toEqual([]);
  } finally {
    await rm(root, { recursive: true });
  }
});

test('a purge removes what crashes and other servers leave of a session', async () => {
  const storage = createMemoryDriver({ now: () => new Date('2026-11-21T10:00:00Z') });
  const registry = createTestRegistry(storage);
  const folder = uploadStartedKey(REPOSITORY, UNKNOWN_ID).replace('startedat', '');
  for (const name of ['sealed', 'whole', 'last', 'hashstates/sha256/5']) {
    await storage.put(listedKey(folder, name), Buffer.from('x'));
    expect(await registry.uploads.purge(NOON, call())).toBe(1);
    expect(await keysOf(storage)).toEqual([]);
  }
});

test('a purge goes by the file when a crash left no readable start', async () => {
  const storage = createMemoryDriver({ now: () => new Date('2026-11-21T10:00:00Z') });
  const registry = createTestRegistry(storage);
  await storage.put(uploadStartedKey(REPOSITORY, UNKNOWN_ID), new Uint8Array());

  expect(await registry.uploads.purge(new Date('2026-11-21T09:00:00Z'), call())).toBe(0);
  expect(await registry.uploads.purge(NOON, call())).toBe(1);
  expect(await keysOf(storage)).toEqual([]);
});
