import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';

import { scratchFolder } from '../../helpers/scratch-folder.ts';
import { startRegistry, type TestRegistry } from '../../servers/registry.ts';
import { sha256 } from './content.ts';
import { RawConnection } from './raw-http.ts';

/** Bodies that nobody reads: whatever a client sends, the next request is not taken for the rest of it. */

let folder: string;
let registry: TestRegistry;
const blob = randomBytes(300_000);
const digest = sha256(blob);

beforeAll(async () => {
  folder = await scratchFolder('registry-bodies-');
  registry = await startRegistry({
    folder,
    config: {
      storage: { driver: 'filesystem', rootDirectory: join(folder, 'data') },
      auth: { anonymous: 'PullPush', anonymousDelete: true },
      limits: { bodyIdleSeconds: 2 },
    },
  });
  await push(blob);
});
afterAll(async () => {
  await registry.process.stop();
  await rm(folder, { recursive: true });
});

async function push(bytes: Uint8Array): Promise<void> {
  const target = `/v2/a/blobs/uploads/?digest=${sha256(bytes)}`;
  const { status } = await registry.call(target, { method: 'POST', body: bytes });
  if (status !== 201) throw new Error(`pushing a blob: ${status}`);
}

function connection(): Promise<RawConnection> {
  return RawConnection.open(Number(new URL(registry.url).port));
}

function head(line: string, ...headers: string[]): string {
  return [`${line} HTTP/1.1`, 'Host: r', ...headers, '', ''].join('\r\n');
}

const PING = head('GET /v2/', 'X-Request-Id: next');

/** Asks for `/v2/` on the same connection, and tells whether the answer is the one to it. */
async function isInSync(raw: RawConnection): Promise<boolean> {
  raw.write(PING);
  const answer = await raw.answer();
  return answer?.status === 200 && answer.headers.get('x-request-id') === 'next';
}

async function startUpload(): Promise<string> {
  const answer = await registry.call('/v2/a/blobs/uploads/', { method: 'POST' });
  expect(answer.status).toBe(202);
  return answer.headers.location ?? '';
}

describe('a body that no route wants', () => {
  test.each([
    ['GET', '/v2/', 200],
    ['GET', `/v2/a/blobs/${digest}`, 200],
    ['HEAD', `/v2/a/blobs/${digest}`, 200],
    ['GET', '/v2/_catalog', 200],
    ['DELETE', '/v2/a/manifests/none', 404],
    ['POST', '/v2/a/blobs/uploads/', 202],
    ['POST', `/v2/b/blobs/uploads/?mount=${digest}&from=a`, 201],
    ['PUT', '/v2/a/tags/list', 405],
    ['POST', '/v2/a/blobs/uploads/?digest=bad', 400],
    ['PATCH', '/v2/a/blobs/uploads/0b8a6b4e-58a1-4c9f-9f3a-6a2f2d3c4b5a', 404],
    ['PUT', '/v2/a/blobs/uploads/0b8a6b4e-58a1-4c9f-9f3a-6a2f2d3c4b5a?digest=bad', 400],
    ['GET', '/none', 404],
  ])('%s %s is answered, and so is the next request', async (method, path, status) => {
    for (const body of [Buffer.alloc(10, 'G'), Buffer.alloc(1_000_000, 'G')]) {
      const raw = await connection();
      await raw.send(head(`${method} ${path}`, `Content-Length: ${body.length}`));
      // Not waited for: the server may read it only after its answer.
      raw.write(body);

      const answer = await raw.answer(method);

      expect(answer?.status).toBe(status);
      expect(await isInSync(raw)).toBe(true);
      raw.destroy();
    }
  });

  it('is told apart from the next request also when it comes in chunks', async () => {
    const raw = await connection();
    raw.write(head('GET /v2/', 'Transfer-Encoding: chunked'));
    raw.write(`${PING.length.toString(16)}\r\n${PING}\r\n0\r\n\r\n`);

    const answer = await raw.answer();

    expect(answer?.status).toBe(200);
    expect(answer?.headers.get('x-request-id')).not.toBe('next');
    expect(await isInSync(raw)).toBe(true);
    expect(raw.pending.length).toBe(0);
    raw.destroy();
  });

  it('comes before the answer on a connection that ends with it', async () => {
    const raw = await connection();
    raw.write(head('GET /v2/', 'Connection: close', 'Content-Length: 2000000'));
    await raw.send(Buffer.alloc(2_000_000));

    expect((await raw.answer())?.status).toBe(200);
    await raw.closed();
  });

  it('cuts off a client that does not end it', async () => {
    const raw = await connection();
    raw.write(head('GET /v2/', 'Content-Length: 1000'));

    expect((await raw.answer())?.status).toBe(200);
    await raw.closed();
  });
});

describe('Expect: 100-continue', () => {
  const EXPECT = ['Expect: 100-continue', `Content-Length: ${blob.length}`];

  it('of a PUT that is repeated is answered without the body, and the connection ends', async () => {
    const location = await startUpload();
    const put = `PUT ${location}?digest=${digest}`;
    const first = await connection();
    first.write(head(put, ...EXPECT));
    await first.send(blob);
    expect((await first.answer())?.status).toBe(201);
    expect(await isInSync(first)).toBe(true);
    first.destroy();

    const again = await connection();
    again.write(head(put, ...EXPECT));

    const answer = await again.answer();
    expect(answer?.status).toBe(201);
    expect(answer?.headers.get('location')).toBe(`/v2/a/blobs/${digest}`);
    expect(answer?.headers.get('connection')).toBe('close');
    await again.closed();
    expect(again.pending.length).toBe(0);
  });

  it('of a PUT that is repeated does not cut off a client that does not wait', async () => {
    const location = await startUpload();
    const put = `PUT ${location}?digest=${digest}`;
    for (const headers of [EXPECT, EXPECT, [`Content-Length: ${blob.length}`]]) {
      const raw = await connection();
      raw.write(Buffer.concat([Buffer.from(head(put, ...headers)), blob]));

      const answer = await raw.answer();

      expect(answer?.status).toBe(201);
      raw.destroy();
    }
  });

  it('of an HTTP/1.0 client counts for nothing', async () => {
    const raw = await connection();
    const post = head(`POST /v2/a/blobs/uploads/?digest=${digest}`, ...EXPECT).replace(
      'HTTP/1.1',
      'HTTP/1.0',
    );
    raw.write(Buffer.concat([Buffer.from(post), blob]));

    await raw.closed();
    expect(raw.pending.toString('latin1')).toMatch(/^HTTP\/1\.1 201 /);
  });

  test.each([
    ['GET', '/v2/', 200],
    ['POST', '/v2/a/blobs/uploads/', 202],
    ['POST', `/v2/b/blobs/uploads/?mount=${digest}&from=a`, 201],
    ['PUT', '/v2/a/blobs/uploads/0b8a6b4e-58a1-4c9f-9f3a-6a2f2d3c4b5a?digest=x', 400],
    ['GET', `/v2/a/blobs/${digest}`, 200],
  ])('%s %s is never asked for a body that is not wanted', async (method, path, status) => {
    const raw = await connection();
    raw.write(head(`${method} ${path}`, ...EXPECT));

    const answer = await raw.answer(method);

    expect(answer?.status).toBe(status);
    expect(answer?.headers.get('connection')).toBe('close');
    await raw.closed();
  });
});
