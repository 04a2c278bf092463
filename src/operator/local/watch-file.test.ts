import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { changesOf } from './watch-file.ts';

describe('changesOf', () => {
  let folder: string;
  let file: string;
  const ended = new AbortController();

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'watch-file-'));
    file = join(folder, 'registry.yaml');
    await writeFile(file, 'one');
  });
  afterEach(async () => {
    ended.abort();
    await rm(folder, { recursive: true });
  });

  it('tells a write, and a file that takes the place of another', async () => {
    const changes = changesOf(file, ended.signal);

    const written = changes.next();
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    await writeFile(file, 'two');
    expect(await written).toEqual({ done: false, value: undefined });

    const replaced = changes.next();
    await writeFile(`${file}.new`, 'three');
    await rename(`${file}.new`, file);
    expect(await replaced).toEqual({ done: false, value: undefined });

    const end = changes.next();
    ended.abort();
    expect((await end).done).toBe(true);
  });
});
