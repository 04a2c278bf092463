import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { applyFiles, writeWhole } from './apply.ts';
import { localFolders } from './folders.ts';

describe('applyFiles', () => {
  let root: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'apply-'));
  });
  afterEach(() => rm(root, { recursive: true }));

  function placement() {
    return localFolders(root, { listen: '127.0.0.1:0', opsListen: '127.0.0.1:0' }).placement;
  }

  it('writes files that only the owner can read', async () => {
    const { configFile } = placement();

    const changed = await applyFiles(new Map([[configFile, Buffer.from('{}')]]), placement());

    expect(changed).toBe(true);
    expect(await readFile(configFile, 'utf8')).toBe('{}');
    expect((await stat(configFile)).mode & 0o777).toBe(0o600);
  });

  it('leaves unchanged files alone', async () => {
    const { configFile } = placement();
    const files = new Map([[configFile, Buffer.from('{}')]]);
    await applyFiles(files, placement());
    const before = await stat(configFile);

    const changed = await applyFiles(files, placement());

    expect(changed).toBe(false);
    expect((await stat(configFile)).ino).toBe(before.ino);
  });

  it('removes files of an earlier plan, but nothing of the content', async () => {
    const { authDir, dataDir } = placement();
    await writeWhole(join(authDir, '0', 'htpasswd'), Buffer.from('a:b'));
    await mkdir(dataDir, { recursive: true });
    await writeFile(join(dataDir, 'blob'), 'x');

    const changed = await applyFiles(new Map(), placement());

    expect(changed).toBe(true);
    expect(await readdir(join(authDir, '0'))).toEqual([]);
    expect(await readdir(dataDir)).toEqual(['blob']);
  });
});
