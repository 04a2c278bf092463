import { mkdir, mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { FolderNames } from './folder-names.ts';

let folder: string;

beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'names-')), 'tags');
  await mkdir(folder);
  for (let n = 100; n < 300; n++) await mkdir(join(folder, `v${n}`));
});

afterEach(() => rm(join(folder, '..'), { recursive: true }));

async function age(path: string): Promise<void> {
  const old = new Date(Date.now() - 60_000);
  await utimes(path, old, old);
}

test('sees what comes and goes in a folder that it keeps', async () => {
  const names = new FolderNames(Date.now);
  await age(folder);
  const first = await names.read(folder);
  expect(first).toHaveLength(200);
  expect(await names.read(folder)).toBe(first);

  await writeFile(join(folder, 'v0'), '');
  await rm(join(folder, 'v299'), { recursive: true });

  const second = await names.read(folder);
  expect(second.at(0)).toBe('v0');
  expect(second.at(-1)).toBe('v298/');
  await rm(folder, { recursive: true });
  expect(await names.read(folder)).toEqual([]);
});

test('does not keep a folder that has just changed, whose next change could have the same time', async () => {
  const names = new FolderNames(Date.now);

  const first = await names.read(folder);

  expect(await names.read(folder)).toEqual(first);
  expect(await names.read(folder)).not.toBe(first);
});

test('sees that another folder has taken the place', async () => {
  const names = new FolderNames(Date.now);
  await age(folder);
  await names.read(folder);

  await rename(folder, `${folder}-old`);
  await mkdir(folder);

  expect(await names.read(folder)).toEqual([]);
});
