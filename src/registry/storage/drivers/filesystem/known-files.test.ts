import { mkdir, mkdtemp, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { BufferPool } from '../../buffer-pool.ts';
import type { ByteReader, StorageDriver, StorageKey } from '../../driver.ts';
import { createFilesystemDriver } from '../filesystem.ts';
import { isLocal, knownFiles } from './known-files.ts';

const KEY = 'docker/registry/v2/link' as StorageKey;

let root: string;
let path: string;
/** Reads that have reached the driver below. */
let reads: number;
/** Added to the clock: changes are long ago for it. */
let later = 60_000;
let driver: StorageDriver;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'known-'));
  path = join(root, KEY);
  await mkdir(dirname(path), { recursive: true });
  reads = 0;
  later = 60_000;
  const inner = await createFilesystemDriver({ root, buffers: new BufferPool(8 << 20) });
  const { get, open } = { get: inner.get.bind(inner), open: inner.open.bind(inner) };
  inner.get = (...parameters) => {
    reads++;
    return get(...parameters);
  };
  inner.open = (...parameters) => {
    reads++;
    return open(...parameters);
  };
  driver = knownFiles(inner, { root, now: () => Date.now() + later });
});

afterEach(async () => {
  await driver.close();
  await rm(root, { recursive: true });
});

async function text(): Promise<string | undefined> {
  const bytes = await driver.get(KEY, 1000);
  return bytes && Buffer.from(bytes).toString();
}

async function drain(reader: ByteReader | undefined): Promise<string> {
  const first = await reader?.read();
  await reader?.close();
  return Buffer.from(first ?? []).toString();
}

test('reads a small file twice, and then only looks whether it is the same', async () => {
  await writeFile(path, 'one');

  for (let count = 0; count < 5; count++) expect(await text()).toBe('one');

  expect(reads).toBe(2);
  expect(await driver.stat(KEY)).toMatchObject({ size: 3, modifiedAt: expect.any(Date) });
  expect(await drain(await driver.open(KEY))).toBe('one');
  expect(await drain(await driver.open(KEY, { start: 1, end: 2 }))).toBe('ne');
  expect(reads).toBe(2);
});

test('sees every change that others make, also one that keeps size and modification time', async () => {
  await writeFile(path, 'one');
  const time = new Date('2026-01-01');
  await utimes(path, time, time);
  for (let count = 0; count < 3; count++) expect(await text()).toBe('one');

  await writeFile(`${path}2`, 'two');
  await utimes(`${path}2`, time, time);
  await rename(`${path}2`, path);
  expect(await text()).toBe('two');
  expect(await drain(await driver.open(KEY))).toBe('two');

  for (let count = 0; count < 3; count++) expect(await text()).toBe('two');
  await writeFile(path, 'six');
  await utimes(path, time, time);
  expect(await text()).toBe('six');

  await rm(path);
  expect(await text()).toBeUndefined();
  expect(await driver.stat(KEY)).toBeUndefined();
  expect(await driver.open(KEY)).toBeUndefined();
});

test('keeps nothing that has just changed, whose next change could have the same time', async () => {
  later = 0;
  await writeFile(path, 'one');

  for (let count = 0; count < 5; count++) expect(await text()).toBe('one');

  expect(reads).toBe(5);
});

test('leaves large files, limits and what is no file to the driver', async () => {
  await writeFile(path, 'x'.repeat(20_000));
  for (let count = 0; count < 3; count++) {
    expect(await drain(await driver.open(KEY))).toHaveLength(20_000);
    await expect(driver.get(KEY, 1000)).rejects.toMatchObject({ code: 'TOO_LARGE' });
  }

  await writeFile(path, 'small');
  for (let count = 0; count < 3; count++) expect(await text()).toBe('small');
  await expect(driver.get(KEY, 4)).rejects.toMatchObject({ code: 'TOO_LARGE' });
  await expect(driver.open(KEY, { start: 2, end: 5 })).rejects.toMatchObject({ code: 'INVALID_RANGE' });

  await rm(path);
  await symlink('/etc/hostname', path);
  await expect(driver.stat(KEY)).rejects.toMatchObject({ code: 'ACCESS_DENIED' });
  await expect(driver.get(KEY, 1000)).rejects.toMatchObject({ code: 'ACCESS_DENIED' });
  await rm(path);
  await mkdir(path);
  expect(await driver.stat(KEY)).toBeUndefined();
});

test('lets others run after a look that took long', async () => {
  await writeFile(path, 'one');
  let now = 0;
  const inner = await createFilesystemDriver({ root, buffers: new BufferPool(8 << 20) });
  let stats = 0;
  const stat = inner.stat.bind(inner);
  inner.stat = (...parameters) => {
    stats++;
    return stat(...parameters);
  };
  // Every look at the clock is 30 ms after the last one.
  const slow = knownFiles(inner, { root, monotonic: () => (now += 30) });
  await slow.stat(KEY);
  expect(stats).toBe(1);

  await slow.stat(KEY);
  expect(stats).toBe(1);
  await slow.stat(KEY);
  expect(stats).toBe(2);
  now += 1000;
  await slow.stat(KEY);
  expect(stats).toBe(2);
});

test('knows which file systems are those of this machine', async () => {
  expect(await isLocal('/proc')).toBe(false);
  expect(await isLocal('/dev/shm')).toBe(true);
  expect(await isLocal(join(root, 'missing'))).toBe(false);
});
