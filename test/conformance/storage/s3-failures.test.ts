import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { createAuthority } from '../../../src/operator/pki/authority.ts';
import { issueCertificate } from '../../../src/operator/pki/certificate.ts';
import { BufferPool } from '../../../src/registry/storage/buffer-pool.ts';
import type { StorageDriver, StorageKey } from '../../../src/registry/storage/driver.ts';
import { createS3Driver, type S3Options } from '../../../src/registry/storage/drivers/s3.ts';
import { isStorageError } from '../../../src/registry/storage/errors.ts';
import { startCuttingProxy } from '../../servers/cutting-proxy.ts';
import type { S3Server } from '../../servers/s3-server.ts';
import { startVersitygw } from '../../servers/versitygw.ts';
import { drain, key, noise, sha256, uploadKey } from './fixture.ts';

const BUCKET = 'failures';
const MIB = 1 << 20;

let server: S3Server;
let client: S3Client;
let folder: string;
const open: StorageDriver[] = [];

function driver(options: Partial<S3Options> = {}): StorageDriver {
  const made = createS3Driver({
    endpoint: server.endpoint,
    bucket: BUCKET,
    credentialsDirectory: folder,
    addressingStyle: 'Auto',
    buffers: new BufferPool(64 * MIB),
    ...options,
  });
  open.push(made);
  return made;
}

async function writeCredentials(directory: string, secret: string): Promise<void> {
  await writeFile(join(directory, 'AWS_ACCESS_KEY_ID'), `${server.accessKeyId}\n`);
  await writeFile(join(directory, 'AWS_SECRET_ACCESS_KEY'), secret);
}

/** What a process that crashed in the middle of an upload leaves: these parts and nothing else. */
async function leaveParts(upload: StorageKey, parts: ReadonlyMap<number, Buffer>): Promise<string> {
  const target = { Bucket: BUCKET, Key: upload };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(target));
  for (const [PartNumber, Body] of parts) {
    await client.send(new UploadPartCommand({ ...target, UploadId, PartNumber, Body }));
  }
  return UploadId!;
}

async function leftovers(): Promise<unknown[]> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: BUCKET }));
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }));
  return [...Contents, ...Uploads];
}

beforeAll(async () => {
  server = await startVersitygw();
  const { endpoint, region, accessKeyId, secretAccessKey } = server;
  const credentials = { accessKeyId, secretAccessKey };
  client = new S3Client({
    endpoint,
    region,
    credentials,
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
  });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  folder = await mkdtemp(join(tmpdir(), 's3-failures-'));
  await writeCredentials(folder, secretAccessKey);
});

afterEach(async () => {
  for (const made of open.splice(0)) await made.close();
});

afterAll(async () => {
  client.destroy();
  await rm(folder, { recursive: true });
  await server.stop();
});

describe('an upload whose process crashed', () => {
  test('goes on behind the last whole part before a gap', async () => {
    const upload = uploadKey();
    const bytes = noise(20 * MIB);
    const part = (n: number) => bytes.subarray((n - 1) * 8 * MIB, n * 8 * MIB);
    await leaveParts(upload, new Map([1, 3].map((n) => [n, part(n)])));

    const session = await driver().resumeWrite(upload);
    expect(session?.offset).toBe(8 * MIB);
    await session?.append(bytes.subarray(8 * MIB));
    await session?.commit(key('gap/data'));

    expect(sha256(await drain(await driver().open(key('gap/data'))))).toBe(sha256(bytes));
    await driver().delete([key('gap/data')]);
    expect(await leftovers()).toEqual([]);
  });

  test('takes the upload that got furthest and removes the others', async () => {
    const upload = uploadKey();
    const bytes = noise(16 * MIB);
    await leaveParts(upload, new Map([[1, noise(8 * MIB)]]));
    await leaveParts(upload, new Map([1, 2].map((n) => [n, bytes.subarray((n - 1) * 8 * MIB, n * 8 * MIB)])));
    await leaveParts(upload, new Map());

    const session = await driver().resumeWrite(upload);
    expect(session?.offset).toBe(16 * MIB);
    await session?.commit(key('furthest/data'));

    expect(sha256(await drain(await driver().open(key('furthest/data'))))).toBe(sha256(bytes));
    await driver().delete([key('furthest/data')]);
    expect(await leftovers()).toEqual([]);
  });

  test('is committed when only the copy to the final key was missing', async () => {
    const upload = uploadKey();
    const bytes = noise(8 * MIB);
    const UploadId = await leaveParts(upload, new Map([[1, bytes]]));
    const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }));
    expect(Uploads).toHaveLength(1);
    const again = { Bucket: BUCKET, Key: upload, UploadId, PartNumber: 1, Body: bytes };
    const { ETag } = await client.send(new UploadPartCommand(again));
    const Parts = [{ PartNumber: 1, ETag }];
    await client.send(
      new CompleteMultipartUploadCommand({
        Bucket: BUCKET,
        Key: upload,
        UploadId,
        MultipartUpload: { Parts },
      }),
    );

    const session = await driver().resumeWrite(upload);
    expect(session?.offset).toBe(bytes.length);
    await expect(session?.append(Buffer.from('more'))).rejects.toThrow('complete');
    await session?.commit(key('complete/data'));

    expect(sha256(await drain(await driver().open(key('complete/data'))))).toBe(sha256(bytes));
    await driver().delete([key('complete/data')]);
    expect(await leftovers()).toEqual([]);
  });
});

describe('a sweep', () => {
  const FUTURE = new Date(Date.now() + 3_600_000);

  test('removes the parts of a copy, and of an upload of which nothing else is left', async () => {
    const [upload, copy] = [uploadKey(), key('swept/sha256/data')];
    await leaveParts(upload, new Map([[1, noise(8 * MIB)]]));
    await leaveParts(copy, new Map([[1, noise(5 * MIB)]]));

    expect(await driver().sweepUnfinished('swept/', new Date(Date.now() - 3_600_000))).toBe(0);
    expect(await driver().sweepUnfinished('swept/', FUTURE)).toBe(1);
    expect(await driver().sweepUnfinished('', FUTURE)).toBe(1);

    expect(await leftovers()).toEqual([]);
  });

  test('leaves an upload alone whose tail was written since', async () => {
    const upload = uploadKey();
    const bytes = noise(9 * MIB);
    const begun = await driver().startWrite(upload);
    await begun.append(bytes.subarray(0, 8 * MIB));
    await begun.suspend();
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const between = new Date();
    const session = await driver().resumeWrite(upload);
    await session?.append(bytes.subarray(8 * MIB));
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await session?.suspend();

    expect(await driver().sweepUnfinished('', between)).toBe(0);

    const last = await driver().resumeWrite(upload);
    expect(last?.offset).toBe(bytes.length);
    await last?.abort();
    expect(await leftovers()).toEqual([]);
  });

  test('is helped by an upload that removes what a dead process put aside for it', async () => {
    const upload = uploadKey();
    const beside = { Bucket: BUCKET, Key: `${upload}~0f8fad5b-0`, Body: 'put aside' };
    await client.send(new PutObjectCommand(beside));

    const session = await driver().resumeWrite(upload);
    expect(session?.offset).toBe(0);
    await session?.append(Buffer.from('all'));
    await session?.commit(key('aside/data'));

    await driver().delete([key('aside/data')]);
    expect(await leftovers()).toEqual([]);
  });
});

test('an object that is larger than one copy takes is copied in parts', async () => {
  const block = noise(10 * MIB);
  const session = await driver().startWrite(uploadKey());
  for (let n = 0; n < 15; n++) await session.append(block);

  await session.commit(key('large/data'));
  await driver().move(key('large/data'), key('moved/data'));

  const reader = await driver().open(key('moved/data'), { start: 130 * MIB, end: 140 * MIB - 1 });
  expect((await drain(reader)).equals(block)).toBe(true);
  expect(await driver().stat(key('moved/data'))).toMatchObject({ size: 150 * MIB });
  await driver().delete([key('moved/data')]);
  expect(await leftovers()).toEqual([]);
});

describe('a connection that breaks', () => {
  test('in the middle of an object is replaced, and the bytes are right', async () => {
    const proxy = await startCuttingProxy(server.endpoint);
    const bytes = noise(6 * MIB);
    const remote = driver({ endpoint: proxy.endpoint });
    await remote.put(key('cut/data'), bytes);
    proxy.cut(MIB, 4);

    const read = await drain(await remote.open(key('cut/data'), { start: 10, end: bytes.length - 11 }));

    expect(read.equals(bytes.subarray(10, -10))).toBe(true);
    expect(proxy.cuts).toBe(4);
    await remote.delete([key('cut/data')]);
    await proxy.stop();
  });

  test('after which the object is another one fails the read', async () => {
    const proxy = await startCuttingProxy(server.endpoint);
    const remote = driver({ endpoint: proxy.endpoint });
    await remote.put(key('changed/data'), noise(32 * MIB));
    const reader = (await remote.open(key('changed/data')))!;
    await reader.read();
    await driver().put(key('changed/data'), noise(32 * MIB));
    proxy.cut(0, 1);

    await expect(drain(reader)).rejects.toSatisfy((error) => isStorageError(error, 'READ_FAILED'));

    await driver().delete([key('changed/data')]);
    await proxy.stop();
  });
});

test('an upload that cannot be suspended gives its buffers back', async () => {
  const buffers = new BufferPool(64 * MIB);
  const remote = driver({ bucket: 'no-such-bucket', buffers });
  const session = await remote.startWrite(uploadKey());
  await session.append(noise(7 * MIB));
  expect(buffers.usedBytes).toBe(8 * MIB);

  await expect(session.suspend()).rejects.toSatisfy((error) => isStorageError(error, 'UNAVAILABLE'));

  expect(buffers.usedBytes).toBe(0);
  await expect(session.suspend()).rejects.toSatisfy((error) => isStorageError(error, 'SESSION_BUSY'));
});

describe('a configuration that is wrong', () => {
  test('is told apart: no server, no bucket', async () => {
    for (const wrong of [driver({ endpoint: 'http://127.0.0.1:1' }), driver({ bucket: 'no-such-bucket' })]) {
      await expect(wrong.check()).rejects.toSatisfy((error) => isStorageError(error, 'UNAVAILABLE'));
    }
  });

  test('counts new credentials within seconds', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'credentials-'));
    let now = Date.now();
    const changing = driver({ credentialsDirectory: directory, now: () => now });

    await expect(changing.check()).rejects.toThrow('AWS_ACCESS_KEY_ID is missing');
    await writeCredentials(directory, 'wrong');
    await expect(changing.check()).rejects.toSatisfy((error) => isStorageError(error, 'ACCESS_DENIED'));
    await writeCredentials(directory, `${server.secretAccessKey}\n`);
    now += 5000;

    await changing.check();
    await rm(directory, { recursive: true });
    expect(await leftovers()).toEqual([]);
  });
});

test('HTTPS trusts only the CA bundle, and a changed one without a restart', async () => {
  const tls = await mkdtemp(join(tmpdir(), 's3-tls-'));
  const files = {
    bundle: join(tls, 'ca.crt'),
    certificate: join(tls, 'tls.crt'),
    key: join(tls, 'tls.key'),
  };
  const issue = { now: new Date(), randomBytes: (size: number) => randomBytes(size) };
  const [authority, other] = await Promise.all(['ca', 'other'].map((name) => createAuthority(name, issue)));
  const leaf = await issueCertificate(authority!, { commonName: 's3', names: ['127.0.0.1'] }, issue);
  await writeFile(files.certificate, leaf.certificate);
  await writeFile(files.key, leaf.key);
  await writeFile(files.bundle, other!.certificate);
  const secure = await startVersitygw({ tls: files });
  let now = Date.now();
  const remote = driver({ endpoint: secure.endpoint, caBundleFile: files.bundle, now: () => now });
  await expect(remote.stat(key('blob'))).rejects.toThrow(/certificate/i);

  await writeFile(files.bundle, authority!.certificate);
  await utimes(files.bundle, now / 1000 + 1, now / 1000 + 1);
  now += 5000;

  expect(await remote.stat(key('blob'))).toBeUndefined();
  const admin = new S3Client({
    endpoint: secure.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: secure.accessKeyId, secretAccessKey: secure.secretAccessKey },
    requestHandler: { httpsAgent: { ca: authority!.certificate } },
  });
  await admin.send(new CreateBucketCommand({ Bucket: BUCKET }));
  const bytes = noise(9 * MIB);
  const session = await remote.startWrite(uploadKey());
  await session.append(bytes);
  await session.commit(key('blob'));
  expect(sha256(await drain(await remote.open(key('blob'))))).toBe(sha256(bytes));
  await admin.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'blob' }));
  admin.destroy();
  await secure.stop();
  await rm(tls, { recursive: true });
});
