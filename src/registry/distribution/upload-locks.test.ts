import { expect, test } from 'vitest';

import { createMemoryDriver } from '../storage/drivers/memory.ts';
import { uploadDataKey } from './layout.ts';
import { parseUploadId } from './reference.ts';
import { REPOSITORY } from './testing.ts';
import { UploadLocks } from './upload-locks.ts';

const KEY = uploadDataKey(REPOSITORY, parseUploadId('0f8fad5b-d9cb-469f-a165-70867728950e'));

test('a request that writes is told to others', async () => {
  const locks = new UploadLocks();
  const session = await createMemoryDriver().startWrite(KEY);
  const lock = locks.acquire(KEY, false, new AbortController().signal);
  lock?.opened(session);

  expect((await locks.writer(KEY))?.session).toBe(session);
  expect(locks.acquire(KEY, false)).toBeUndefined();
});

test('a request whose client has left is waited for', async () => {
  const locks = new UploadLocks();
  const client = new AbortController();
  const lock = locks.acquire(KEY, false, client.signal);
  lock?.opened(await createMemoryDriver().startWrite(KEY));
  client.abort(new Error('the client has left'));

  let isFree = false;
  const waiting = locks.writer(KEY).then((writer) => {
    isFree = true;
    return writer;
  });
  await new Promise(setImmediate);
  expect(isFree).toBe(false);
  lock?.release();

  expect(await waiting).toBeUndefined();
  expect(locks.acquire(KEY, false)).toBeDefined();
});
