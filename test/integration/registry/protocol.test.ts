import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { afterAll, beforeAll, describe, expect, it, test, vi } from 'vitest';

import { scratchFolder } from '../../helpers/scratch-folder.ts';
import { startRegistry, type Answer, type TestRegistry } from '../../servers/registry.ts';
import { manifestOf, MANIFEST_TYPE, sha256 } from './content.ts';
import { untilRunning } from './slow-client.ts';

let folder: string;
let registry: TestRegistry;

beforeAll(async () => {
  folder = await scratchFolder('registry-');
  registry = await startRegistry({
    folder,
    config: {
      storage: { driver: 'filesystem', rootDirectory: join(folder, 'data') },
      auth: { anonymous: 'PullPush', anonymousDelete: true },
      http: { hosts: ['Registry.example.com:443'] },
    },
  });
});
afterAll(async () => {
  await registry.process.stop();
  await rm(folder, { recursive: true });
});

function codeOf(answer: Answer): unknown {
  const { errors } = answer.json() as { errors: { code: string }[] };
  return errors[0]?.code;
}

async function metrics(): Promise<string> {
  return (await fetch(`${registry.opsUrl}/metrics`)).text();
}

async function startUpload(repository: string): Promise<string> {
  const answer = await registry.call(`/v2/${repository}/blobs/uploads/`, { method: 'POST' });
  expect(answer.status).toBe(202);
  expect(answer.headers['range']).toBe('0-0');
  expect(answer.headers['docker-upload-uuid']).toMatch(/^[0-9a-f-]{36}$/);
  return answer.headers.location ?? '';
}

async function pushBlob(repository: string, bytes: Uint8Array | string): Promise<string> {
  const digest = sha256(bytes);
  const answer = await registry.call(`/v2/${repository}/blobs/uploads/?digest=${digest}`, {
    method: 'POST',
    body: bytes,
  });
  expect(answer.status).toBe(201);
  return digest;
}

async function pushManifest(repository: string, reference: string, manifest = manifestOf()): Promise<string> {
  await pushBlob(repository, '{}');
  const answer = await registry.call(`/v2/${repository}/manifests/${reference}`, {
    method: 'PUT',
    headers: { 'content-type': MANIFEST_TYPE },
    body: manifest,
  });
  expect(answer.status).toBe(201);
  return sha256(manifest);
}

async function raw(message: string): Promise<string> {
  const socket = connect(Number(new URL(registry.url).port), '127.0.0.1');
  socket.end(message);
  return text(socket);
}

async function expecting(target: string, body: string): Promise<string> {
  const socket = connect(Number(new URL(registry.url).port), '127.0.0.1');
  socket.write(
    `PUT ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`,
  );
  let received = '';
  for await (const chunk of socket.setEncoding('utf8')) {
    received += String(chunk);
    if (received.endsWith('100 Continue\r\n\r\n')) socket.write(body);
    if (/HTTP\/1\.1 [2-5]\d\d /.test(received)) break;
  }
  return received;
}

/** Requests are counted when they have ended, which a busy machine may put off. */
const COUNTED = { timeout: 10_000 };

describe('the base', () => {
  it('says that this is a registry', async () => {
    const answer = await registry.call('/v2/');

    expect(answer.status).toBe(200);
    expect(answer.headers['docker-distribution-api-version']).toBe('registry/2.0');
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
    expect(answer.json()).toEqual({});
  });

  it('answers a sane request id with the same, anything else with its own', async () => {
    const sane = await registry.call('/v2/', { headers: { 'x-request-id': 'abc-1' } });
    const odd = await registry.call('/v2/', { headers: { 'x-request-id': 'a b{}' } });

    expect(sane.headers['x-request-id']).toBe('abc-1');
    expect(odd.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('uploads', () => {
  const blob = randomBytes(100_000);
  const digest = sha256(blob);

  async function expectPulled(repository: string): Promise<void> {
    const answer = await registry.call(`/v2/${repository}/blobs/${digest}`);
    expect(answer.status).toBe(200);
    expect(answer.body.equals(blob)).toBe(true);
  }

  it('takes a blob with one POST', async () => {
    const answer = await registry.call(`/v2/up/post/blobs/uploads/?digest=${digest}`, {
      method: 'POST',
      body: blob,
    });

    expect(answer.status).toBe(201);
    expect(answer.headers.location).toBe(`/v2/up/post/blobs/${digest}`);
    expect(answer.headers['docker-content-digest']).toBe(digest);
    await expectPulled('up/post');
  });

  it('takes a blob with POST and PUT', async () => {
    const location = await startUpload('up/put');
    const answer = await registry.call(`${location}?digest=${digest}`, { method: 'PUT', body: blob });

    expect(answer.status).toBe(201);
    await expectPulled('up/put');
  });

  it('takes a stream without length and type, as docker sends it', async () => {
    const location = await startUpload('up/stream');
    const patch = await registry.call(location, {
      method: 'PATCH',
      headers: { 'transfer-encoding': 'chunked' },
      body: blob,
    });
    const put = await registry.call(`${patch.headers.location}?digest=${digest}`, { method: 'PUT' });

    expect(patch.status).toBe(202);
    expect(patch.headers['range']).toBe(`0-${blob.length - 1}`);
    expect(put.status).toBe(201);
    await expectPulled('up/stream');
  });

  it('takes chunks, tells its true state after one out of order, and goes on', async () => {
    const location = await startUpload('up/chunks');
    const chunk = (start: number, end: number) => ({
      method: 'PATCH',
      headers: { 'content-range': `${start}-${end - 1}`, 'content-type': 'application/octet-stream' },
      body: blob.subarray(start, end),
    });
    const first = await registry.call(location, chunk(0, 1000));
    const wrong = await registry.call(location, chunk(5000, 6000));
    const status = await registry.call(location);
    const second = await registry.call(status.headers.location ?? '', chunk(1000, 2000));
    const last = await registry.call(`${second.headers.location}?digest=${digest}`, {
      ...chunk(2000, blob.length),
      method: 'PUT',
    });

    expect(first.headers['range']).toBe('0-999');
    expect([wrong.status, codeOf(wrong), wrong.headers['range']]).toEqual([416, 'RANGE_INVALID', '0-999']);
    expect(wrong.headers.location).toBe(location);
    expect([status.status, status.headers['range']]).toEqual([204, '0-999']);
    expect(second.headers['range']).toBe('0-1999');
    expect(last.status).toBe(201);
    await expectPulled('up/chunks');
  });

  it('takes an empty blob', async () => {
    const empty = sha256('');
    const location = await startUpload('up/empty');
    const put = await registry.call(`${location}?digest=${empty}`, { method: 'PUT' });
    const pulled = await registry.call(`/v2/up/empty/blobs/${empty}`);

    expect(put.status).toBe(201);
    expect([pulled.status, pulled.headers['content-length']]).toEqual([200, '0']);
  });

  it('mounts a blob of another repository, and starts an upload when there is nothing to mount', async () => {
    await pushBlob('mount/from', blob);
    const uploads = '/v2/mount/to/blobs/uploads/?from=mount%2ffrom&mount=';
    const mounted = await registry.call(`${uploads}${digest}`, { method: 'POST' });
    const missing = await registry.call(`${uploads}${sha256('missing')}`, { method: 'POST' });
    const invalid = await registry.call(`${uploads}nonsense`, { method: 'POST' });

    expect([mounted.status, mounted.headers.location]).toEqual([201, `/v2/mount/to/blobs/${digest}`]);
    expect([missing.status, invalid.status]).toEqual([202, 202]);
    await expectPulled('mount/to');
  });

  it('cancels', async () => {
    const location = await startUpload('up/cancel');
    const cancelled = await registry.call(location, { method: 'DELETE' });
    const status = await registry.call(location);

    expect(cancelled.status).toBe(204);
    expect([status.status, codeOf(status)]).toEqual([404, 'BLOB_UPLOAD_UNKNOWN']);
  });

  test.each([
    ['a digest of other content', { query: `?digest=${sha256('x')}` }, 400, 'DIGEST_INVALID'],
    ['a malformed digest', { query: '?digest=sha256:bad' }, 400, 'DIGEST_INVALID'],
    ['no digest', { query: '' }, 400, 'DIGEST_INVALID'],
    [
      'a range that is not as long as the body',
      { query: `?digest=${digest}`, headers: { 'content-range': '0-5' } },
      400,
      'SIZE_INVALID',
    ],
    [
      'a range that cannot be read',
      { query: `?digest=${digest}`, headers: { 'content-range': 'x' } },
      416,
      'RANGE_INVALID',
    ],
  ])('refuses %s', async (_title, { query, ...rest }, status, code) => {
    const location = await startUpload('up/refuse');
    const answer = await registry.call(`${location}${query}`, { method: 'PUT', body: blob, ...rest });

    expect([answer.status, codeOf(answer)]).toEqual([status, code]);
  });

  it('refuses a chunk of another type', async () => {
    const location = await startUpload('up/type');
    const answer = await registry.call(location, {
      method: 'PATCH',
      headers: { 'content-type': 'text/plain' },
      body: 'x',
    });

    expect([answer.status, codeOf(answer)]).toEqual([415, 'UNSUPPORTED']);
  });
});

describe('a client that leaves', () => {
  it('finds what it has sent when it comes back, and is counted as gone', async () => {
    const location = await startUpload('leave');
    const socket = connect(Number(new URL(registry.url).port), '127.0.0.1');
    socket.write(`PATCH ${location} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhello`);
    await untilRunning(registry, 'blob_upload_chunk', 1);
    socket.destroy();

    await vi.waitFor(async () => {
      expect(await metrics()).toContain('{handler="blob_upload_chunk",method="PATCH",code="499"} 1');
    }, COUNTED);
    const status = await registry.call(location);
    expect([status.status, status.headers['range']]).toEqual([204, '0-4']);
    const put = await registry.call(`${location}?digest=${sha256('hello there')}`, {
      method: 'PUT',
      headers: { 'content-range': '5-10' },
      body: ' there',
    });
    expect(put.status).toBe(201);
  });

  it('does not hold the blob that it was reading', async () => {
    const digest = await pushBlob('leave', randomBytes(32 << 20));
    const socket = connect(Number(new URL(registry.url).port), '127.0.0.1');
    socket.write(`GET /v2/leave/blobs/${digest} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await once(socket, 'data');
    socket.destroy();

    await vi.waitFor(async () => {
      expect(await metrics()).toContain('{handler="blob",method="GET",code="499"} 1');
      expect(await metrics()).toContain('registry_http_in_flight_requests{handler="blob"} 0');
    }, COUNTED);
  });
});

describe('blobs', () => {
  const blob = randomBytes(2048);
  const digest = sha256(blob);
  const path = `/v2/blobs/blobs/${digest}`;
  beforeAll(async () => {
    await pushBlob('blobs', blob);
  });

  it('tells everything with HEAD', async () => {
    const answer = await registry.call(path, { method: 'HEAD' });

    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      'content-length': '2048',
      'content-type': 'application/octet-stream',
      'docker-content-digest': digest,
      'accept-ranges': 'bytes',
      etag: `"${digest}"`,
      'cache-control': 'max-age=31536000',
    });
    expect(answer.body.length).toBe(0);
  });

  test.each([
    ['bytes=500-1499', 500, 1500],
    ['bytes=500-', 500, 2048],
    ['bytes=-500', 1548, 2048],
    ['bytes=2000-5000', 2000, 2048],
  ])('sends the range %s', async (range, start, end) => {
    const answer = await registry.call(path, { headers: { range } });

    expect(answer.status).toBe(206);
    expect(answer.headers['content-range']).toBe(`bytes ${start}-${end - 1}/2048`);
    expect(answer.headers['content-length']).toBe(String(end - start));
    expect(answer.body.equals(blob.subarray(start, end))).toBe(true);
  });

  test.each(['bytes=500-0', 'bytes=5000-10000'])('cannot send the range %s', async (range) => {
    const answer = await registry.call(path, { headers: { range } });

    expect([answer.status, codeOf(answer)]).toEqual([416, 'RANGE_INVALID']);
    expect(answer.headers['content-range']).toBe('bytes */2048');
  });

  test.each([{ range: 'bytes=0-1,x' }, { range: 'bytes=0-1', 'if-range': '"other"' }])(
    'sends the whole blob for %j',
    async (headers) => {
      const answer = await registry.call(path, { headers });

      expect([answer.status, answer.body.length]).toEqual([200, 2048]);
    },
  );

  it('sends nothing that the client has', async () => {
    const answer = await registry.call(path, { headers: { 'if-none-match': `"${digest}"` } });

    expect([answer.status, answer.body.length]).toEqual([304, 0]);
  });

  it('does not show the blob of another repository', async () => {
    for (const method of ['GET', 'HEAD']) {
      expect((await registry.call(`/v2/other/blobs/${digest}`, { method })).status).toBe(404);
    }
  });

  it('deletes', async () => {
    const gone = await pushBlob('blobs', 'to be deleted');
    const deleted = await registry.call(`/v2/blobs/blobs/${gone}`, { method: 'DELETE' });

    expect(deleted.status).toBe(202);
    expect((await registry.call(`/v2/blobs/blobs/${gone}`)).status).toBe(404);
  });
});

describe('manifests', () => {
  it('returns the bytes and the type that were pushed', async () => {
    const manifest = ` ${manifestOf({ a: 'b' })}\n`;
    const digest = await pushManifest('image', 'v1', manifest);

    for (const reference of ['v1', digest]) {
      const answer = await registry.call(`/v2/image/manifests/${reference}`, {
        headers: { accept: 'text/plain' },
      });
      expect(answer.status).toBe(200);
      expect(answer.body.toString()).toBe(manifest);
      expect(answer.headers).toMatchObject({
        'content-type': MANIFEST_TYPE,
        'docker-content-digest': digest,
        etag: `"${digest}"`,
      });
    }
    const head = await registry.call('/v2/image/manifests/v1', { method: 'HEAD' });
    expect(head.headers['content-length']).toBe(String(manifest.length));
  });

  it('tells when the client has it already, by tag as well', async () => {
    const digest = await pushManifest('image', 'v2');
    const headers = { 'if-none-match': `"${digest}"` };

    expect((await registry.call('/v2/image/manifests/v2', { headers })).status).toBe(304);
    expect((await registry.call('/v2/image/manifests/v2', { method: 'HEAD', headers })).status).toBe(304);
  });

  it('tells the client that it need not list what refers to a subject', async () => {
    await pushBlob('image', '{}');
    const subject = sha256('missing');
    const manifest = JSON.stringify({
      ...(JSON.parse(manifestOf()) as object),
      subject: { mediaType: MANIFEST_TYPE, digest: subject, size: 7 },
    });
    const answer = await registry.call(`/v2/image/manifests/${sha256(manifest)}`, {
      method: 'PUT',
      headers: { 'content-type': MANIFEST_TYPE },
      body: manifest,
    });

    expect([answer.status, answer.headers['oci-subject']]).toEqual([201, subject]);
    expect((await registry.call(`/v2/image/referrers/${subject}`)).status).toBe(200);
  });

  test.each(['content-length', 'chunked'])('refuses more than 4 MiB (%s)', async (kind) => {
    const answer = await registry.call('/v2/image/manifests/big', {
      method: 'PUT',
      headers: {
        'content-type': MANIFEST_TYPE,
        ...(kind === 'chunked' ? { 'transfer-encoding': 'chunked' } : {}),
      },
      body: Buffer.alloc((4 << 20) + 1, 0x20),
    });

    expect([answer.status, codeOf(answer)]).toEqual([413, 'MANIFEST_INVALID']);
  });

  it('reads the rest of a body that is too long, so that the connection can be used again', async () => {
    const chunk = `10000\r\n${' '.repeat(65_536)}\r\n`;
    const answer = await raw(
      `PUT /v2/image/manifests/big HTTP/1.1\r\nHost: x\r\nContent-Type: ${MANIFEST_TYPE}\r\n` +
        `Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(256)}0\r\n\r\n` +
        'GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    );

    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain('HTTP/1.1 200 ');
  });

  it('refuses a manifest whose blobs are missing', async () => {
    const answer = await registry.call('/v2/incomplete/manifests/v1', {
      method: 'PUT',
      headers: { 'content-type': MANIFEST_TYPE },
      body: manifestOf(),
    });

    expect([answer.status, codeOf(answer)]).toEqual([400, 'MANIFEST_BLOB_UNKNOWN']);
  });

  it('deletes a tag, then the manifest', async () => {
    const digest = await pushManifest('delete', 'v1', manifestOf({ for: 'delete' }));

    expect((await registry.call('/v2/delete/manifests/v1', { method: 'DELETE' })).status).toBe(202);
    expect((await registry.call('/v2/delete/manifests/v1')).status).toBe(404);
    expect((await registry.call(`/v2/delete/manifests/${digest}`)).status).toBe(200);
    expect((await registry.call(`/v2/delete/manifests/${digest}`, { method: 'DELETE' })).status).toBe(202);
    expect((await registry.call(`/v2/delete/manifests/${digest}`)).status).toBe(404);
  });
});

describe('lists', () => {
  beforeAll(async () => {
    for (const tag of ['a', 'b', 'c']) await pushManifest('lists/tags', tag);
  });

  it('pages through tags', async () => {
    const first = await registry.call('/v2/lists/tags/tags/list?n=2');
    const next =
      /^<(?<target>.*)>; rel="next"$/.exec(String(first.headers['link']))?.groups?.['target'] ?? '';
    const second = await registry.call(next);

    expect(first.json()).toEqual({ name: 'lists/tags', tags: ['a', 'b'] });
    expect(second.json()).toEqual({ name: 'lists/tags', tags: ['c'] });
    expect(second.headers['link']).toBeUndefined();
  });

  it('lists everything without n, and nothing with n=0', async () => {
    const all = await registry.call('/v2/lists/tags/tags/list');
    const none = await registry.call('/v2/lists/tags/tags/list?n=0');

    expect(all.json()).toEqual({ name: 'lists/tags', tags: ['a', 'b', 'c'] });
    expect(none.json()).toEqual({ name: 'lists/tags', tags: [] });
    expect(none.headers['link']).toBeUndefined();
  });

  it('pages through the catalog', async () => {
    await pushManifest('lists/another', 'v1');
    const answer = await registry.call('/v2/_catalog?n=1&last=lists');

    expect(answer.json()).toEqual({ repositories: ['lists/another'] });
    expect(answer.headers['link']).toBe('</v2/_catalog?n=1&last=lists%2Fanother>; rel="next"');
  });

  test.each(['/v2/lists/tags/tags/list', '/v2/_catalog'])('%s refuses n=abc', async (path) => {
    const answer = await registry.call(`${path}?n=abc`);

    expect([answer.status, codeOf(answer)]).toEqual([400, 'PAGINATION_NUMBER_INVALID']);
  });

  it('knows no repository that nobody pushed to', async () => {
    const answer = await registry.call('/v2/lists/unknown/tags/list');

    expect([answer.status, codeOf(answer)]).toEqual([404, 'NAME_UNKNOWN']);
  });
});

describe('the namespace of a mirror', () => {
  const path = '/v2/namespace/tags/list';
  beforeAll(async () => {
    await pushManifest('namespace', 'v1');
  });

  test.each([['registry.example.com'], ['REGISTRY.example.com:443'], ['HOST'], ['']])(
    'is ours when it is %j',
    async (namespace) => {
      const ns = namespace === 'HOST' ? new URL(registry.url).host : namespace;

      expect((await registry.call(`${path}?ns=${ns}`)).status).toBe(200);
    },
  );

  it('is not ours when it is another one', async () => {
    const answer = await registry.call(`${path}?ns=docker.io`);

    expect([answer.status, codeOf(answer)]).toEqual([404, 'NAME_UNKNOWN']);
  });
});

describe('requests that are none', () => {
  test.each([
    ['PUT', '/v2/', 405, 'GET, HEAD'],
    ['POST', '/v2/a/manifests/v1', 405, 'GET, HEAD, PUT, DELETE'],
    ['GET', '/v2/a/blobs/uploads/', 405, 'POST'],
    ['TRACE', '/v2/_catalog', 405, 'GET, HEAD'],
    ['PROPFIND', '/v2/a/tags/list', 405, 'GET, HEAD'],
  ])('%s %s', async (method, path, status, allow) => {
    const answer = await registry.call(path, { method });

    expect([answer.status, answer.headers.allow, codeOf(answer)]).toEqual([status, allow, 'UNSUPPORTED']);
  });

  test.each(['/', '/metrics', '/v2/a', '/v2/_oci/ext/other'])('has nothing at %s', async (path) => {
    const answer = await registry.call(path);

    expect([answer.status, codeOf(answer)]).toEqual([404, 'UNSUPPORTED']);
  });

  it('refuses escapes that it cannot read', async () => {
    const answer = await raw('GET /v2/%zz/tags/list HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');

    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('"code":"NAME_INVALID"');
  });

  it('refuses a path that climbs', async () => {
    const answer = await raw('GET /v2/../../etc/tags/list HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');

    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('answers what is no HTTP at all in the same form', async () => {
    const answer = await raw('nonsense\r\n\r\n');

    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('"code":"UNSUPPORTED"');
  });

  it('refuses a body with two lengths', async () => {
    const answer = await raw(
      'PATCH /v2/a/blobs/uploads/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
    );

    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  });
});

describe('Expect: 100-continue', () => {
  it('lets a request go on that is wanted', async () => {
    const location = await startUpload('expect');

    const received = await expecting(`${location}?digest=${sha256('hello')}`, 'hello');

    expect(received).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 201 /);
  });

  it('answers before the body when it is not, and closes', async () => {
    const received = await expecting('/v2/expect/blobs/uploads/nonsense', 'hello');

    expect(received).toMatch(/^HTTP\/1\.1 404 /);
    expect(received.toLowerCase()).toContain('connection: close');
  });
});
