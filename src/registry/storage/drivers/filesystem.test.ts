import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import {
  type FileHandle,
  mkdir,
  mkdtemp,
  open as openHandle,
  readdir,
  readFile,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { BufferPool } from '../buffer-pool.ts';
import type { ByteReader, StorageDriver, StorageKey } from '../driver.ts';
import { isStorageError } from '../errors.ts';
import { createFilesystemDriver } from './filesystem.ts';
import { ownIdentity } from './filesystem/process-identity.ts';

const UPLOAD = 'repo/_uploads/1/data' as StorageKey;
const BLOB = 'blobs/sha256/ab/abc/data' as StorageKey;

let root: string;
let driver: StorageDriver;

function open(options: { now?: () => number } = {}): Promise<StorageDriver> {
  return createFilesystemDriver({ root, buffers: new BufferPool(1 << 20), ...options });
}

/** The lock as another process would have left it. */
async function lockAs(holder: object): Promise<void> {
  const lock = join(root, `${UPLOAD}~lock`);
  await mkdir(dirname(lock), { recursive: true });
  await writeFile(lock, JSON.stringify({ id: 'theirs', ...ownIdentity(), ...holder }));
}

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'storage-'));
  driver = await open();
});

afterEach(async () => {
  vi.restoreAllMocks();
  await rm(root, { recursive: true });
});

describe('layout', () => {
  test('has every object in the file of its key, and unfinished bytes in the file of the upload', async () => {
    await driver.put('repo/_manifests/tags/v1/current/link' as StorageKey, Buffer.from('sha256:abc'));
    const session = await driver.startWrite(UPLOAD);
    await session.append(Buffer.from('bytes'));

    expect(await readFile(join(root, 'repo/_manifests/tags/v1/current/link'), 'utf8')).toBe('sha256:abc');
    expect(await readFile(join(root, UPLOAD), 'utf8')).toBe('bytes');
    await session.commit(BLOB);
    expect(await readFile(join(root, BLOB), 'utf8')).toBe('bytes');
    expect(await readdir(join(root, 'repo'))).toEqual(['_manifests']);
  });

  test('shows neither locks nor temporary files', async () => {
    const session = await driver.startWrite(UPLOAD);
    await mkdir(join(root, '.tmp~'), { recursive: true });
    await writeFile(join(root, '.tmp~', 'left'), 'half');

    const { entries } = await driver.list('');

    expect(entries).toEqual([{ name: UPLOAD }]);
    await session.abort();
  });

  test('removes old temporary files of dead processes when it starts, and no young ones', async () => {
    const old = new Date(Date.now() - 2 * 3_600_000);
    await mkdir(join(root, '.tmp~'));
    for (const name of ['old', 'young']) await writeFile(join(root, '.tmp~', name), 'x');
    await mkdir(join(root, '.tmp~', 'folder', 'current'), { recursive: true });
    await writeFile(join(root, '.tmp~', 'folder', 'current', 'link'), 'x');
    for (const name of ['old', 'folder']) await utimes(join(root, '.tmp~', name), old, old);

    await open();

    expect(await readdir(join(root, '.tmp~'))).toEqual(['young']);
  });

  test.each([
    'repo/_manifests/tags/v1/current',
    'repo/_manifests/tags/v1',
    'repo/_manifests/tags',
    'repo/_manifests',
    'repo',
  ])('removes the empty folders up to %s of a deletion whose process died before it had', async (left) => {
    await mkdir(join(root, left), { recursive: true });
    await mkdir(join(root, '.tmp~'));
    await writeFile(join(root, '.tmp~', 'prune-1'), 'repo/_manifests/tags/v1/current\n../outside');
    expect((await driver.list('', { delimiter: '/' })).entries).toEqual([{ name: 'repo/' }]);

    await open();

    expect((await driver.list('', { delimiter: '/' })).entries).toEqual([]);
  });

  test('starts although the disk has damaged the note of a deletion', async () => {
    await mkdir(join(root, 'repo/_manifests'), { recursive: true });
    await mkdir(join(root, '.tmp~'));
    await writeFile(join(root, '.tmp~', 'prune-1'), '\0\0\0\0\nrepo/_manifests');

    await open();

    expect((await driver.list('', { delimiter: '/' })).entries).toEqual([]);
  });

  test.each([{ ifAbsent: false }, { ifAbsent: true }])(
    'shows a new folder together with its first file, with ifAbsent $ifAbsent',
    async ({ ifAbsent }) => {
      const done = new AbortController();
      const writers = Array.from({ length: 8 }, async (_, writer) => {
        for (let number = 0; number < 12; number++) {
          // All write the same tags, each a file of its own.
          const key = `repo/_manifests/tags/v${number}/index/sha256/${writer}/link` as StorageKey;
          expect(await driver.put(key, Buffer.from('x'), { ifAbsent })).toBe(true);
        }
      });
      const watcher = (async () => {
        const tags = join(root, 'repo/_manifests/tags');
        for (; !done.signal.aborted; await nextTurn()) {
          for (const tag of existsSync(tags) ? readdirSync(tags) : []) {
            expect(readdirSync(join(tags, tag), { recursive: true }).join(' ')).toContain('link');
          }
        }
      })();
      await Promise.all(writers).finally(() => done.abort());
      await watcher;
    },
  );

  test('leaves no note of a deletion that has ended', async () => {
    await driver.put('repo/_manifests/tags/v1/current/link' as StorageKey, Buffer.from('x'));
    await driver.delete(['repo/_manifests/tags/v1/current/link' as StorageKey]);

    expect(await readdir(root, { recursive: true })).toEqual(['.tmp~']);
  });

  test('follows no symbolic link out of the root', async () => {
    const secret = join(root, 'secret');
    await writeFile(secret, 'secret');
    await mkdir(join(root, 'repo'));
    await symlink(secret, join(root, 'repo', 'link'));
    const key = 'repo/link' as StorageKey;

    for (const call of [
      () => driver.stat(key),
      () => driver.get(key, 100),
      () => driver.open(key),
      () => driver.startWrite(key),
    ]) {
      await expect(call()).rejects.toSatisfy((error) => isStorageError(error, 'ACCESS_DENIED'));
    }
    expect((await driver.list('repo/')).entries).toEqual([]);
  });

  test('says that a key below an object cannot be written', async () => {
    await driver.put('repo/link' as StorageKey, Buffer.from('x'));

    await expect(driver.put('repo/link/below' as StorageKey, Buffer.from('x'))).rejects.toSatisfy((error) =>
      isStorageError(error, 'INVALID_KEY'),
    );
  });

  test('is not ready when its root has gone', async () => {
    await rm(root, { recursive: true });

    await expect(driver.check()).rejects.toSatisfy((error) => isStorageError(error, 'NOT_FOUND'));
    await mkdir(root);
  });
});

describe('unfinished uploads', () => {
  test('go on from what a crashed process of an earlier boot has left', async () => {
    await mkdir(dirname(join(root, UPLOAD)), { recursive: true });
    await writeFile(join(root, UPLOAD), 'half ');
    await lockAs({ boot: 'an earlier one' });

    const session = await driver.resumeWrite(UPLOAD);
    expect(session?.offset).toBe(5);
    await session?.append(Buffer.from('whole'));
    await session?.commit(BLOB);

    expect(await readFile(join(root, BLOB), 'utf8')).toBe('half whole');
    expect(await readdir(root)).toEqual(['.tmp~', 'blobs']);
    expect(await readdir(join(root, '.tmp~'))).toEqual([]);
  });

  test('are free at once when the process of the lock is dead, even if its number is in use again', async () => {
    await writeUpload('half');
    await lockAs({ started: '1' });

    const session = await driver.resumeWrite(UPLOAD);

    expect(session?.offset).toBe(4);
    await session?.abort();
  });

  test('stay with a living process of this machine however silent it is', async () => {
    await writeUpload('half');
    await lockAs({});
    const later = await open({ now: () => Date.now() + 3_600_000 });

    await expect(later.resumeWrite(UPLOAD)).rejects.toSatisfy((error) =>
      isStorageError(error, 'SESSION_BUSY'),
    );
  });

  test.each([
    ['on another machine', { host: 'another', boot: 'another' }],
    ['in another container', { pidNamespace: 'pid:[1]' }],
  ])('are free when a holder %s has been silent for half a minute', async (_title, holder) => {
    await writeUpload('half');
    await lockAs(holder);
    const later = await open({ now: () => Date.now() + 31_000 });

    await expect(driver.resumeWrite(UPLOAD)).rejects.toSatisfy((error) =>
      isStorageError(error, 'SESSION_BUSY'),
    );
    const session = await later.resumeWrite(UPLOAD);

    expect(session?.offset).toBe(4);
    await session?.abort();
  });

  test('are free when a lock was never filled and is old', async () => {
    await writeUpload('half');
    await writeFile(join(root, `${UPLOAD}~lock`), '');
    const later = await open({ now: () => Date.now() + 31_000 });

    await expect(driver.resumeWrite(UPLOAD)).rejects.toThrow('another writer');
    const session = await later.resumeWrite(UPLOAD);

    expect(session?.offset).toBe(4);
    await session?.abort();
  });

  test('are not committed by a writer that lost its lock', async () => {
    const session = await driver.startWrite(UPLOAD);
    await session.append(Buffer.from('mine'));
    await rm(join(root, `${UPLOAD}~lock`));
    await lockAs({ started: '1' });
    const other = await driver.resumeWrite(UPLOAD);

    await expect(session.commit(BLOB)).rejects.toSatisfy((error) => isStorageError(error, 'SESSION_BUSY'));
    await expect(session.abort()).rejects.toSatisfy((error) => isStorageError(error, 'SESSION_BUSY'));

    await other?.append(Buffer.from('!'));
    await other?.commit(BLOB);
    expect(await readFile(join(root, BLOB), 'utf8')).toBe('mine!');
  });

  test('notice at the next append that the process was suspended and the lock taken over', async () => {
    let now = Date.now();
    const slow = await open({ now: () => now });
    const session = await slow.startWrite(UPLOAD);
    await session.append(Buffer.from('mine'));
    await rm(join(root, `${UPLOAD}~lock`));
    await lockAs({});

    now += 60_000;

    await expect(session.append(Buffer.from('late'))).rejects.toSatisfy((error) =>
      isStorageError(error, 'SESSION_BUSY'),
    );
    expect(await readFile(join(root, UPLOAD), 'utf8')).toBe('mine');
    await session.abort().catch(() => undefined);
  });

  test('leave no folder when nothing is there to resume', async () => {
    expect(await driver.resumeWrite(UPLOAD)).toBeUndefined();
    expect(await readdir(root)).toEqual([]);
  });

  test('take their lock with them when they are deleted', async () => {
    await writeUpload('half');
    await lockAs({});

    await driver.delete([UPLOAD]);

    expect(await readdir(root)).toEqual([]);
  });
});

describe('durability', () => {
  test('syncs a file before it gets its name, and the folder and all new folders above it after', async () => {
    const session = await driver.startWrite(UPLOAD);
    await session.append(Buffer.from('bytes'));
    const calls = await watchSyncs();

    await session.commit(BLOB);

    // blobs/sha256/ab/abc/data: its folder, and the parents of the four new folders.
    expect(calls).toEqual(['datasync', ...Array.from({ length: 5 }, () => 'sync')]);
  });

  test('syncs a small object and its folder', async () => {
    await driver.put('repo/a/link' as StorageKey, Buffer.from('x'));
    const calls = await watchSyncs();

    await driver.put('repo/a/link' as StorageKey, Buffer.from('y'));

    expect(calls).toEqual(['datasync', 'sync']);
  });

  test('does not wait for the disk with an object that is rebuildable, and leaves no temporary file', async () => {
    const calls = await watchSyncs();

    await driver.put('repo/a/entry' as StorageKey, new Uint8Array(), { rebuildable: true });
    await driver.put('repo/a/entry' as StorageKey, new Uint8Array(), { rebuildable: true, ifAbsent: true });

    expect(calls).toEqual([]);
    expect(await readdir(join(root, '.tmp~'))).toEqual([]);
  });

  test('makes the folders durable that an object found, which was rebuildable', async () => {
    await driver.put('repo/a/entry' as StorageKey, new Uint8Array(), { rebuildable: true });
    const calls = await watchSyncs();

    await driver.put('repo/a/link' as StorageKey, Buffer.from('x'));

    expect(calls).toEqual(['datasync', 'sync', 'sync', 'sync']);
  });

  test('lets others go on with what the disk has when it refuses the rest', async () => {
    const session = await driver.startWrite(UPLOAD);
    await session.append(Buffer.from('kept'));
    await session.flush();
    await session.append(Buffer.from(' and lost'));
    const handle = await openHandle(root);
    const prototype = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    const refused = vi.spyOn(prototype, 'datasync').mockRejectedValue(new Error('EIO'));

    await expect(session.suspend()).rejects.toThrow('EIO');
    refused.mockRestore();
    const next = await (await open()).resumeWrite(UPLOAD);

    expect(next?.offset).toBe(4);
    await next?.abort();
    expect(await readdir(root)).toEqual(['.tmp~']);
  });

  test('syncs the bytes of a suspended upload, and once the folders on the way to them', async () => {
    const session = await driver.startWrite(UPLOAD);
    await session.append(Buffer.from('bytes'));
    const calls = await watchSyncs();

    const token = await session.suspend();
    // repo/_uploads/1/data: three folders and the root.
    expect(calls.toSorted()).toEqual(['datasync', 'sync', 'sync', 'sync', 'sync']);
    calls.length = 0;
    await (await driver.resumeWrite(UPLOAD, token))?.suspend();
    expect(calls).toEqual(['datasync']);
    calls.length = 0;
    await (await driver.resumeWrite(UPLOAD))?.suspend();
    expect(calls.toSorted()).toEqual(['datasync', 'sync']);
  });

  test('does not trust a folder that another writer has made, or made again', async () => {
    const other = await open();
    await other.put('repo/a/link' as StorageKey, Buffer.from('x'));
    const calls = await watchSyncs();

    await driver.put('repo/a/other' as StorageKey, Buffer.from('x'));
    expect(calls).toEqual(['datasync', 'sync', 'sync', 'sync']);
    calls.length = 0;
    await rm(join(root, 'repo'), { recursive: true });
    await mkdir(join(root, 'other'));
    await other.put('repo/a/link' as StorageKey, Buffer.from('x'));
    calls.length = 0;
    await driver.put('repo/a/other' as StorageKey, Buffer.from('x'));
    expect(calls.filter((name) => name === 'sync').length).toBeGreaterThan(1);
  });

  test('syncs nothing when it is told so', async () => {
    const unsynced = await createFilesystemDriver({ root, buffers: new BufferPool(1 << 20), sync: false });
    const calls = await watchSyncs();

    await unsynced.put('repo/a/link' as StorageKey, Buffer.from('x'));
    const session = await unsynced.startWrite(UPLOAD);
    await session.append(Buffer.alloc(40 << 20));
    await session.suspend();
    await (await unsynced.resumeWrite(UPLOAD))?.commit(BLOB);
    await unsynced.move(BLOB, 'blobs/other' as StorageKey);

    expect(calls).toEqual([]);
    expect(await unsynced.stat('blobs/other' as StorageKey)).toMatchObject({ size: 40 << 20 });
  });

  test('syncs a root that it makes', async () => {
    const calls = await watchSyncs();

    await createFilesystemDriver({ root: join(root, 'new', 'root'), buffers: new BufferPool(1 << 20) });

    expect(calls).toEqual(['sync', 'sync']);
  });
});

describe('reading', () => {
  test('serves more streams than the bound has buffers for', async () => {
    const bytes = Buffer.alloc(3_000_000, 'abc');
    await driver.put(BLOB, bytes);

    const sizes = await Promise.all(
      Array.from({ length: 40 }, async () => {
        const reader = await driver.open(BLOB);
        const size = await readAll(reader);
        await reader?.close();
        return size;
      }),
    );

    expect(new Set(sizes)).toEqual(new Set([bytes.length]));
  });

  test('waits for nobody who takes nothing, and goes on in large steps when there is room again', async () => {
    const bytes = randomBytes(3_000_000);
    await driver.put(BLOB, bytes);
    const stalled = await Promise.all(Array.from({ length: 20 }, () => driver.open(BLOB)));
    for (const reader of stalled) await reader?.read();
    const reader = await driver.open(BLOB);
    const views: Uint8Array[] = [];
    const take = async () => {
      const view = await reader?.read();
      // Copied as late as the reader allows: two reads later the view is void.
      if (view) views.push(view);
      if (views.length > 1) views[views.length - 2] = Buffer.from(views.at(-2) ?? []);
      return view?.length;
    };

    const steps = [await take(), await take(), await take()];
    for (const other of stalled) await other?.close();
    for (let step = await take(); step !== undefined; step = await take()) steps.push(step);
    await reader?.close();

    expect(steps.slice(0, 3)).toEqual([16_384, 16_384, 16_384]);
    expect(Math.max(...steps.slice(3).map(Number))).toBeGreaterThanOrEqual(65_536);
    expect(Buffer.concat(views).equals(bytes)).toBe(true);
  });

  test('says that an object ended early when its file was cut', async () => {
    await driver.put(BLOB, Buffer.alloc(3_000_000));
    const reader = await driver.open(BLOB);
    await writeFile(join(root, BLOB), 'short');

    await expect(readAll(reader)).rejects.toSatisfy((error) => isStorageError(error, 'READ_FAILED'));
    await reader?.close();
  });
});

/** Names of the syncs that file handles are asked for from now on; they happen. */
async function watchSyncs(): Promise<string[]> {
  const handle = await openHandle(root);
  const prototype: FileHandle = Object.getPrototypeOf(handle);
  await handle.close();
  const calls: string[] = [];
  for (const name of ['datasync', 'sync'] as const) {
    const original = prototype[name];
    vi.spyOn(prototype, name).mockImplementation(function watched(this: FileHandle) {
      calls.push(name);
      return original.call(this);
    });
  }
  return calls;
}

async function readAll(reader: ByteReader | undefined): Promise<number> {
  let size = 0;
  for (let view = await reader?.read(); view !== undefined; view = await reader?.read()) size += view.length;
  return size;
}

async function writeUpload(text: string): Promise<void> {
  await mkdir(dirname(join(root, UPLOAD)), { recursive: true });
  await writeFile(join(root, UPLOAD), text);
}
