import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { type ClientRequest, request as httpRequest } from 'node:http';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import type { RegistryConfigInput } from '../../../src/api/registry-config.ts';
import { scratchFolder } from '../../helpers/scratch-folder.ts';
import { type Answer, startRegistry, type TestRegistry } from '../../servers/registry.ts';
import { type S3Server, writeCredentials } from '../../servers/s3-server.ts';
import { startVersitygw } from '../../servers/versitygw.ts';
import { sha256 } from './content.ts';
import { untilRunning } from './slow-client.ts';

const MIB = 1 << 20;
const UPLOADS = '/v2/team/app/blobs/uploads/';

let folder: string;
let s3: S3Server;
beforeAll(async () => {
  folder = await scratchFolder('uploads-');
  s3 = await startVersitygw({ buckets: ['uploads'] });
  await writeCredentials(s3, join(folder, 'credentials'));
});
afterAll(async () => {
  await s3.stop();
  await rm(folder, { recursive: true });
});

type Storage = RegistryConfigInput['storage'];

const STORAGES: readonly { readonly name: string; readonly storage: () => Storage }[] = [
  {
    name: 'one data folder',
    storage: () => ({ driver: 'filesystem', rootDirectory: join(folder, 'data') }),
  },
  {
    name: 'one bucket',
    storage: () => ({
      driver: 's3',
      bucket: 'uploads',
      endpoint: s3.endpoint,
      region: s3.region,
      credentialsDirectory: join(folder, 'credentials'),
    }),
  },
];

async function startReplica(
  storage: Storage,
  more: Partial<RegistryConfigInput> = {},
): Promise<TestRegistry> {
  const own = await mkdtemp(join(folder, 'replica-'));
  return startRegistry({ folder: own, config: { storage, auth: { anonymous: 'PullPush' }, ...more } });
}

async function start(registry: TestRegistry): Promise<string> {
  const { status, headers } = await registry.call(UPLOADS, { method: 'POST' });
  expect(status).toBe(202);
  return headers.location ?? '';
}

function patch(registry: TestRegistry, location: string, body: Uint8Array, from?: number): Promise<Answer> {
  const range = from === undefined ? {} : { 'content-range': `${from}-${from + body.length - 1}` };
  return registry.call(location, { method: 'PATCH', headers: range, body });
}

function put(registry: TestRegistry, location: string, digest: string, body?: Uint8Array): Promise<Answer> {
  const content = body === undefined ? {} : { body };
  return registry.call(`${location}?digest=${digest}`, { method: 'PUT', ...content });
}

async function offsetOf(registry: TestRegistry, location: string): Promise<number> {
  const { status, headers } = await registry.call(location);
  expect(status).toBe(204);
  const end = Number(/^0-(\d+)$/.exec(headers.range ?? '')?.[1]);
  return end === 0 ? 0 : end + 1;
}

async function expectBlob(registry: TestRegistry, bytes: Buffer): Promise<void> {
  const { status, body } = await registry.call(`/v2/team/app/blobs/${sha256(bytes)}`);
  expect(status).toBe(200);
  expect(body.equals(bytes)).toBe(true);
}

/** A PATCH of unknown length whose body is sent by hand. */
function openPatch(registry: TestRegistry, location: string): ClientRequest & { answer: Promise<number> } {
  const request = httpRequest(new URL(location, registry.url), {
    method: 'PATCH',
    headers: { 'transfer-encoding': 'chunked' },
  });
  const answer = once(request, 'response').then(
    ([response]) => {
      response.resume();
      return Number(response.statusCode);
    },
    () => 0,
  );
  return Object.assign(request, { answer });
}

describe.each(STORAGES)('an upload to two servers on $name', ({ storage }) => {
  let one: TestRegistry;
  let other: TestRegistry;
  beforeAll(async () => {
    [one, other] = await Promise.all([startReplica(storage()), startReplica(storage())]);
  });
  afterAll(async () => {
    await Promise.all([one.process.stop(), other.process.stop()]);
  });

  it('goes on at the other one at any point', async () => {
    const bytes = randomBytes(20 * MIB);
    const location = await start(one);

    expect((await patch(other, location, bytes.subarray(0, 9 * MIB))).status).toBe(202);
    expect(await offsetOf(one, location)).toBe(9 * MIB);
    expect((await patch(one, location, bytes.subarray(9 * MIB, 10 * MIB), 9 * MIB)).status).toBe(202);
    expect((await patch(other, location, bytes.subarray(10 * MIB, 11 * MIB), 10 * MIB)).status).toBe(202);
    const early = await patch(one, location, bytes.subarray(12 * MIB), 12 * MIB);
    expect([early.status, early.headers.range]).toEqual([416, `0-${11 * MIB - 1}`]);
    expect((await put(other, location, sha256(bytes), bytes.subarray(11 * MIB))).status).toBe(201);

    await expectBlob(one, bytes);
    expect((await put(one, location, sha256(bytes), bytes.subarray(11 * MIB))).status).toBe(201);
    expect((await one.call(location)).status).toBe(404);
  });

  it('survives the sudden death of the one that receives it', async () => {
    const bytes = randomBytes(20 * MIB);
    const location = await start(one);
    expect((await patch(one, location, bytes.subarray(0, MIB))).status).toBe(202);
    const request = openPatch(one, location);
    request.write(bytes.subarray(MIB, 15 * MIB));
    const isThere = async (): Promise<void> => expect(await offsetOf(one, location)).toBeGreaterThan(4 * MIB);
    await vi.waitFor(isThere, { timeout: 20_000, interval: 50 });

    process.kill(one.process.pid, 'SIGKILL');
    await one.process.stop();
    one = await startReplica(storage());
    expect(await request.answer).toBe(0);

    const offset = await offsetOf(other, location);
    expect(offset).toBeGreaterThanOrEqual(MIB);
    expect((await patch(other, location, bytes.subarray(offset), offset)).status).toBe(202);
    expect((await put(other, location, sha256(bytes))).status).toBe(201);
    await expectBlob(other, bytes);
  });

  it('takes one writer at a time, or tells the one that lost', async () => {
    const location = await start(one);
    expect((await patch(one, location, Buffer.from('both begin with this, '))).status).toBe(202);
    const begin = Buffer.from('both begin with this, ');
    const ends = [randomBytes(9 * MIB), randomBytes(9 * MIB)] as const;
    const wholes = ends.map((end) => Buffer.concat([begin, end]));

    const appended = await Promise.all([
      patch(one, location, ends[0], begin.length),
      patch(other, location, ends[1], begin.length),
    ]);
    const ended = [
      await put(one, location, sha256(wholes[0] ?? '')),
      await put(other, location, sha256(wholes[1] ?? '')),
    ];

    expect(appended.map(({ status }) => status)).toContain(202);
    for (const { status } of appended) expect([202, 416]).toContain(status);
    // Whoever lost finds another's bytes, or no session any more, and never makes a blob of a mixture.
    for (const { status } of ended) expect([201, 400, 404, 416]).toContain(status);
    for (const [index, { status }] of ended.entries()) {
      const digest = sha256(wholes[index] ?? begin);
      const stored = await other.call(`/v2/team/app/blobs/${digest}`);
      expect([stored.status, sha256(stored.body) === digest]).toEqual([
        status === 201 ? 200 : 404,
        status === 201,
      ]);
    }
  });

  it('is cancelled at the other one', async () => {
    const location = await start(one);
    expect((await patch(one, location, randomBytes(9 * MIB))).status).toBe(202);

    expect((await other.call(location, { method: 'DELETE' })).status).toBe(204);

    expect((await patch(one, location, Buffer.from('more'))).status).toBe(404);
    expect((await put(one, location, sha256('more'))).status).toBe(404);
  });
});

describe('a client that lies', () => {
  let registry: TestRegistry;
  beforeAll(async () => {
    registry = await startReplica({ driver: 'memory' });
  });
  afterAll(() => registry.process.stop());

  it.each([
    ['Content-Length and Content-Range that differ', { 'content-range': '0-9' }, 'SIZE_INVALID'],
    ['a Content-Range that ends before it begins', { 'content-range': '9-0' }, 'RANGE_INVALID'],
  ])('about the length is refused, and the session stays: %s', async (_title, headers, code) => {
    const location = await start(registry);
    expect((await patch(registry, location, Buffer.from('abc'))).status).toBe(202);

    const answer = await registry.call(location, { method: 'PATCH', headers, body: 'defg' });

    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.json()).toMatchObject({ errors: [{ code }] });
    expect(await offsetOf(registry, location)).toBe(3);
    expect((await put(registry, location, sha256('abcd'), Buffer.from('d'))).status).toBe(201);
  });

  it.each(['PATCH', 'PUT'])(
    'by a Content-Range that cannot be read is told what came: %s',
    async (method) => {
      const location = await start(registry);
      expect((await patch(registry, location, Buffer.from('abc'))).status).toBe(202);
      const headers = { 'content-range': '9-0' };
      const target = method === 'PUT' ? `${location}?digest=${sha256('abcdefg')}` : location;

      const answer = await registry.call(target, { method, headers, body: 'defg' });

      expect(answer.status).toBe(416);
      expect(answer.headers).toMatchObject({ location, range: '0-2' });
      const elsewhere = target.replace(/^\/v2\/[^/]+/, '/v2/elsewhere');
      expect((await registry.call(elsewhere, { method, headers, body: 'defg' })).status).toBe(404);
    },
  );

  it('by a body that ends early keeps what came', async () => {
    const location = await start(registry);
    const request = httpRequest(new URL(location, registry.url), {
      method: 'PATCH',
      headers: { 'content-length': '100' },
    });
    request.on('error', () => undefined);
    request.write('abc');
    await untilRunning(registry, 'blob_upload_chunk', 1);

    request.destroy();

    await vi.waitFor(async () => expect(await offsetOf(registry, location)).toBe(3), { timeout: 5000 });
    expect((await put(registry, location, sha256('abc'))).status).toBe(201);
  });

  it('about the digest ends the session', async () => {
    const sha512 = `sha512:${createHash('sha512').update('xyz').digest('hex')}`;
    for (const digest of [sha256('abd'), sha512]) {
      const location = await start(registry);
      expect((await patch(registry, location, Buffer.from('abc'))).status).toBe(202);

      const answer = await put(registry, location, digest);

      expect(answer.status).toBe(400);
      expect(answer.json()).toMatchObject({ errors: [{ code: 'DIGEST_INVALID' }] });
      expect((await registry.call(location)).status).toBe(404);
      expect((await registry.call(`/v2/team/app/blobs/${digest}`)).status).toBe(404);
    }
  });
});

function expectTooLarge(answer: Answer): void {
  expect(answer.status).toBe(413);
  const message = expect.stringMatching(/1000.*limits\.maxBlobBytes/);
  expect(answer.json()).toMatchObject({ errors: [{ code: 'SIZE_INVALID', message }] });
}

describe('a blob that is longer than limits.maxBlobBytes', () => {
  let registry: TestRegistry;
  beforeAll(async () => {
    registry = await startReplica({ driver: 'memory' }, { limits: { maxBlobBytes: 1000 } });
  });
  afterAll(() => registry.process.stop());

  it('is refused by its length, and the session stays', async () => {
    const bytes = randomBytes(1001);
    expectTooLarge(
      await registry.call(`${UPLOADS}?digest=${sha256(bytes)}`, { method: 'POST', body: bytes }),
    );
    const location = await start(registry);
    expect((await patch(registry, location, bytes.subarray(0, 999))).status).toBe(202);

    expectTooLarge(await patch(registry, location, bytes.subarray(999), 999));

    expect(await offsetOf(registry, location)).toBe(999);
    const last = bytes.subarray(999, 1000);
    expect((await put(registry, location, sha256(bytes.subarray(0, 1000)), last)).status).toBe(201);
  });

  it('is refused as soon as it is too long, and the session ends', async () => {
    const location = await start(registry);
    const headers = { 'transfer-encoding': 'chunked' };

    expectTooLarge(await registry.call(location, { method: 'PATCH', headers, body: randomBytes(1001) }));

    expect((await registry.call(location)).status).toBe(404);
  });
});

describe('an upload that distribution began in the same folder', () => {
  const ID = '0f8fad5b-d9cb-469f-a165-70867728950e';

  it('goes on here', async () => {
    const data = join(folder, 'foreign');
    const upload = join(data, 'docker/registry/v2/repositories/team/app/_uploads', ID);
    await mkdir(join(upload, 'hashstates', 'sha256'), { recursive: true });
    await writeFile(join(upload, 'data'), 'half ');
    await writeFile(join(upload, 'startedat'), new Date().toISOString());
    await writeFile(join(upload, 'hashstates', 'sha256', '5'), randomBytes(100));
    const registry = await startReplica({ driver: 'filesystem', rootDirectory: data });
    try {
      const location = `/v2/team/app/blobs/uploads/${ID}`;
      expect(await offsetOf(registry, location)).toBe(5);
      expect((await patch(registry, location, Buffer.from('and '), 5)).status).toBe(202);
      expect((await put(registry, location, sha256('half and half'), Buffer.from('half'))).status).toBe(201);

      await expectBlob(registry, Buffer.from('half and half'));
      expect(await readdir(join(upload, '../..'))).toEqual(['_layers']);
    } finally {
      await registry.process.stop();
    }
  });
});
