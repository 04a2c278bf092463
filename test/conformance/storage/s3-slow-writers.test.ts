import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { BufferPool } from '../../../src/registry/storage/buffer-pool.ts';
import type { StorageDriver, WriteSession } from '../../../src/registry/storage/driver.ts';
import { createS3Driver } from '../../../src/registry/storage/drivers/s3.ts';
import type { S3Server } from '../../servers/s3-server.ts';
import { startVersitygw } from '../../servers/versitygw.ts';
import { drain, key, noise, sha256, uploadKey } from './fixture.ts';

const MIB = 1 << 20;
const BUFFER_BYTES = 64 * MIB;
const SLOW = 64;
/** More than the memory that a slow writer gets outside of the pool. */
const BEGINNING_BYTES = MIB;

let server: S3Server;
let folder: string;
let buffers: BufferPool;
let driver: StorageDriver;

beforeAll(async () => {
  const bucket = 'slow';
  server = await startVersitygw({ buckets: [bucket] });
  folder = await mkdtemp(join(tmpdir(), 'slow-writers-'));
  await writeFile(join(folder, 'AWS_ACCESS_KEY_ID'), server.accessKeyId);
  await writeFile(join(folder, 'AWS_SECRET_ACCESS_KEY'), server.secretAccessKey);
  buffers = new BufferPool(BUFFER_BYTES);
  const { endpoint } = server;
  driver = createS3Driver({
    endpoint,
    bucket,
    credentialsDirectory: folder,
    addressingStyle: 'Auto',
    buffers,
  });
});
afterAll(async () => {
  await driver.close();
  await server.stop();
  await rm(folder, { recursive: true });
});

/** Writes as a client on a thin line does, until it has written the beginning. */
async function writeSlowly(session: WriteSession, bytes: Buffer): Promise<void> {
  const size = 128 << 10;
  for (let start = 0; start < bytes.length; start += size) {
    await sleep(150);
    await session.append(bytes.subarray(start, start + size));
  }
}

test('a fast writer finishes while 64 slow ones go on, and all of them end well', async () => {
  const contents = Array.from({ length: SLOW }, () => noise(BEGINNING_BYTES + 1000));
  const sessions = await Promise.all(contents.map(() => driver.startWrite(uploadKey())));
  const slow = sessions.map(async (session, n) => {
    await writeSlowly(session, contents[n]!.subarray(0, BEGINNING_BYTES));
  });
  await Promise.all(slow);
  expect(buffers.usedBytes).toBeLessThanOrEqual(BUFFER_BYTES);

  const fast = await driver.startWrite(uploadKey());
  const block = noise(8 * MIB);
  for (let n = 0; n < 5; n++) await fast.append(block);
  await fast.commit(key('fast/data'));

  expect(await driver.stat(key('fast/data'))).toMatchObject({ size: 40 * MIB });
  expect(buffers.usedBytes).toBeLessThanOrEqual(BUFFER_BYTES);
  // The slow ones have not ended: each has a last piece to send, one suspends before it.
  await sessions[0]!.suspend();
  for (const [n, session] of sessions.entries()) {
    if (n === 0) continue;
    await session.append(contents[n]!.subarray(BEGINNING_BYTES));
    await session.commit(key(`slow/${n}`));
  }
  for (const n of [1, 2, SLOW / 2, SLOW - 1]) {
    const stored = sha256(await drain(await driver.open(key(`slow/${n}`))));
    expect(stored).toBe(sha256(contents[n]!));
  }
  expect(buffers.usedBytes).toBe(0);
}, 120_000);

test('a part that was put aside is the same part', async () => {
  const crowd = await Promise.all(Array.from({ length: 8 }, () => driver.startWrite(uploadKey())));
  const bytes = noise(20 * MIB);
  const upload = uploadKey();
  const session = await driver.startWrite(upload);
  await session.append(bytes.subarray(0, 3 * MIB));
  // The others take all buffers that there are, and this one has to give its own up.
  await sleep(1100);
  await Promise.all(crowd.map((other) => other.append(noise(MIB))));

  await writeSlowly(session, bytes.subarray(3 * MIB, 9 * MIB));
  await session.append(bytes.subarray(9 * MIB, 13 * MIB));
  const token = await session.suspend();
  const resumed = await driver.resumeWrite(upload, token);
  expect(resumed?.offset).toBe(13 * MIB);
  await resumed?.append(bytes.subarray(13 * MIB));
  await resumed?.commit(key('aside/data'));

  expect(sha256(await drain(await driver.open(key('aside/data'))))).toBe(sha256(bytes));
  for (const other of crowd) await other.abort();
  expect(buffers.usedBytes).toBe(0);
}, 120_000);
