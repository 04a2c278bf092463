import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';

import { afterAll, beforeAll, describe, expect, it, test, vi } from 'vitest';

import { scratchFolder } from '../../helpers/scratch-folder.ts';
import { startRegistry, type Answer, type Call, type TestRegistry } from '../../servers/registry.ts';
import { manifestOf, MANIFEST_TYPE, sha256 } from './content.ts';
import { RawConnection } from './raw-http.ts';
import { reconfigure } from './reconfigure.ts';

const EXTERNAL = 'https://r.example/registry';
/** What a proxy on this host sends for a client of `203.0.113.9` that asked for the external name. */
const PROXIED = { 'x-forwarded-for': '192.0.2.66, 203.0.113.9', 'x-forwarded-host': 'r.example' };
const LOGGED = { timeout: 10_000 };

let folder: string;
let registry: TestRegistry;
const large = randomBytes(3_000_000);
const blob = randomBytes(2048);
const digest = sha256(blob);

beforeAll(async () => {
  folder = await scratchFolder('registry-edge-');
  registry = await startRegistry({
    folder,
    config: {
      storage: { driver: 'memory' },
      auth: { anonymous: 'PullPush', anonymousDelete: true },
      http: { externalURL: EXTERNAL, trustedProxies: ['127.0.0.1'], warning: 'moves to "r2" in May' },
    },
  });
  await pushBlob(blob);
  await pushBlob(large);
  await pushBlob('{}');
  for (const tag of ['v1', 'v2']) await pushManifest(tag);
});
afterAll(async () => {
  await registry.process.stop();
  await rm(folder, { recursive: true });
});

async function pushBlob(bytes: Uint8Array | string): Promise<void> {
  const target = `/v2/a/blobs/uploads/?digest=${sha256(bytes)}`;
  const { status } = await registry.call(target, { method: 'POST', body: bytes });
  if (status !== 201) throw new Error(`pushing a blob: ${status}`);
}

function pushManifest(reference: string, headers: Record<string, string> = {}): Promise<Answer> {
  return registry.call(`/v2/a/manifests/${reference}`, {
    method: 'PUT',
    headers: { 'content-type': MANIFEST_TYPE, ...headers },
    body: manifestOf(),
  });
}

function getBlob(content: Uint8Array, headers: Record<string, string>, method = 'GET'): Promise<Answer> {
  return registry.call(`/v2/a/blobs/${sha256(content)}`, { method, headers });
}

/** The parts of a multipart answer, read by its boundary alone. */
function partsOf({ headers, body }: Answer): { range: string | undefined; bytes: Buffer }[] {
  const boundary = /^multipart\/byteranges; boundary=(\w+)$/.exec(headers['content-type'] ?? '')?.[1] ?? '?';
  const pieces = `\r\n${body.toString('latin1')}`.split(`\r\n--${boundary}`);
  expect(pieces.shift()).toBe('');
  expect(pieces.pop()).toBe('--\r\n');
  return pieces.map((piece) => {
    const end = piece.indexOf('\r\n\r\n');
    const range = /^Content-Range: (.*)$/m.exec(piece.slice(0, end))?.[1];
    return { range, bytes: Buffer.from(piece.slice(end + 4), 'latin1') };
  });
}

async function loggedAddress(headers: Record<string, string>): Promise<unknown> {
  const id = randomBytes(8).toString('hex');
  await registry.call('/v2/', { headers: { ...headers, 'x-request-id': id } });
  return vi.waitFor(() => {
    const line = registry.process
      .log()
      .split('\n')
      .find((text) => text.includes(`"${id}"`));
    const { remoteAddress } = JSON.parse(line ?? '') as { remoteAddress: unknown };
    return remoteAddress;
  }, LOGGED);
}

async function namespaceStatus(name: string, headers: Record<string, string>): Promise<number> {
  return (await registry.call(`/v2/a/manifests/v1?ns=${name}`, { headers })).status;
}

async function linksBy(headers: Record<string, string>): Promise<(string | undefined)[]> {
  const post = (query: string) => registry.call(`/v2/a/blobs/uploads/${query}`, { method: 'POST', headers });
  const upload = await post('');
  const path = (upload.headers.location ?? '').replace(EXTERNAL, '');
  const put = await registry.call(`${path}?digest=${digest}`, { method: 'PUT', headers, body: blob });
  const mounted = await post(`?mount=${digest}&from=a`);
  const manifest = await pushManifest('v1', headers);
  const tags = await registry.call('/v2/a/tags/list?n=1', { headers });
  const locations = [upload, put, mounted, manifest].map((answer) => answer.headers.location);
  return [...locations, String(tags.headers['link'])].map((link) =>
    link?.replace(/(?<=uploads\/)[0-9a-f-]{36}$/, '<id>'),
  );
}

describe('several ranges', () => {
  test.each([
    [
      blob,
      [
        [5, 9],
        [2040, 2047],
        [100, 100],
      ],
    ],
    [
      large,
      [
        [2_000_000, 2_999_999],
        [0, 999_999],
        [1_500_000, 1_500_000],
      ],
    ],
    [large, Array.from({ length: 16 }, (_, n) => [n * 100_000, n * 100_000 + 70_000])],
  ])('come as parts in the order asked for, with a length (%#)', async (content, ranges) => {
    const list = ranges.map(([start, end]) => `${start}-${end}`).join(',');

    const answer = await getBlob(content, { range: `bytes=${list}` });

    expect(answer.status).toBe(206);
    expect(answer.headers['content-length']).toBe(String(answer.body.length));
    expect(answer.headers['content-range']).toBeUndefined();
    const parts = partsOf(answer);
    expect(parts.map(({ range }) => range)).toEqual(
      ranges.map(([start, end]) => `bytes ${start}-${end}/${content.length}`),
    );
    const isEqual = ranges.map(([start = 0, end = 0], n) =>
      parts[n]?.bytes.equals(content.subarray(start, end + 1)),
    );
    expect(isEqual).toEqual(ranges.map(() => true));
  });

  it('that overlap are sent once', async () => {
    const answer = await getBlob(blob, { range: `bytes=${'0-,'.repeat(15)}-2048` });

    expect([answer.status, answer.headers['content-range']]).toEqual([206, 'bytes 0-2047/2048']);
    expect(answer.body.equals(blob)).toBe(true);
  });

  it('that lie outside are left out, and refused when nothing is left', async () => {
    const some = await getBlob(blob, { range: 'bytes=5000-,7-9' });
    const none = await getBlob(blob, { range: 'bytes=5000-,-0,6000-7000' });

    expect([some.status, some.headers['content-range']]).toEqual([206, 'bytes 7-9/2048']);
    expect([none.status, none.headers['content-range']]).toEqual([416, 'bytes */2048']);
  });

  test.each([
    { range: `bytes=${Array.from({ length: 17 }, (_, n) => `${n * 2}-${n * 2}`).join(',')}` },
    { range: 'bytes=0-1,x-y' },
    { range: 'bytes=0-1,4-5', 'if-range': '"other"' },
    { range: 'bytes=0-1,4-5', 'if-range': `W/"${digest}"` },
    { range: 'bytes=0-1,4-5', 'if-range': 'Sat, 29 Oct 1994 19:43:31 GMT' },
  ])('are not sent for %j, but the whole blob', async (headers) => {
    const answer = await getBlob(blob, headers);

    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/octet-stream']);
    expect(answer.body.equals(blob)).toBe(true);
  });

  it('are sent when If-Range names the blob', async () => {
    const answer = await getBlob(blob, { range: 'bytes=0-1,4-5', 'if-range': `"${digest}"` });

    expect(partsOf(answer).map(({ range }) => range)).toEqual(['bytes 0-1/2048', 'bytes 4-5/2048']);
  });

  it('mean nothing to HEAD', async () => {
    const answer = await getBlob(blob, { range: 'bytes=0-1,4-5' }, 'HEAD');

    expect([answer.status, answer.headers['content-length']]).toEqual([200, '2048']);
    expect(answer.headers['content-range']).toBeUndefined();
  });
});

describe('the warning', () => {
  const expected = String.raw`299 - "moves to \"r2\" in May"`;

  test.each<[string, string, Call, number]>([
    ['the base', '/v2/', {}, 200],
    ['an error', '/v2/a/blobs/none', {}, 400],
    ['no endpoint', '/', {}, 404],
    ['a method that is not there', '/v2/', { method: 'DELETE' }, 405],
    ['a manifest', '/v2/a/manifests/v1', {}, 200],
    ['a blob that is streamed', `/v2/a/blobs/${sha256(large)}`, {}, 200],
    ['HEAD of a blob', `/v2/a/blobs/${sha256(large)}`, { method: 'HEAD' }, 200],
    ['ranges', `/v2/a/blobs/${digest}`, { headers: { range: 'bytes=0-1,5-6' } }, 206],
    ['nothing new', `/v2/a/blobs/${digest}`, { headers: { 'if-none-match': `"${digest}"` } }, 304],
    ['an upload', '/v2/a/blobs/uploads/', { method: 'POST' }, 202],
  ])('comes with %s', async (_, target, call, status) => {
    const answer = await registry.call(target, call);

    expect([answer.status, answer.headers['warning']]).toEqual([status, expected]);
  });
});

describe('the external URL', () => {
  const paths = [
    '/v2/a/blobs/uploads/<id>',
    `/v2/a/blobs/${digest}`,
    `/v2/a/blobs/${digest}`,
    `/v2/a/manifests/${sha256(manifestOf())}`,
  ];
  const tags = '/v2/a/tags/list?n=1&last=v1';
  const relative = [...paths, `<${tags}>; rel="next"`];
  const absolute = [...paths.map((path) => EXTERNAL + path), `<${EXTERNAL}${tags}>; rel="next"`];

  test.each<[string, Record<string, string>, string[]]>([
    ['by its host', { host: 'R.example:443' }, absolute],
    ['by a proxy that was asked for it', PROXIED, absolute],
    ['by a proxy that tells so in Forwarded', { forwarded: 'for=203.0.113.9;host=r.example' }, absolute],
    ['by the address', {}, relative],
    ['by a proxy that was asked for another', { 'x-forwarded-host': 'evil.example' }, relative],
    ['by another name', { host: 'evil.example' }, relative],
  ])('stands in Location and Link of a request that came %s, or not', async (_, headers, expected) => {
    expect(await linksBy(headers)).toEqual(expected);
  });

  it('stands in the answer to a chunk out of order', async () => {
    const upload = await registry.call('/v2/a/blobs/uploads/', { method: 'POST' });
    const answer = await registry.call(upload.headers.location ?? '', {
      method: 'PATCH',
      headers: { 'content-range': '5-6', host: 'r.example' },
      body: 'ab',
    });

    expect([answer.status, answer.headers.location]).toEqual([
      416,
      EXTERNAL + (upload.headers.location ?? ''),
    ]);
  });
});

describe('what a client sends', () => {
  it('never stands in a header of the answer as it came', async () => {
    const evil = 'evil.example';
    for (const target of ['/v2/a/tags/list?n=1&x=%0d%0aevil.example:%201', '/v2/a/blobs/uploads/', '/v2/']) {
      const raw = await RawConnection.open(Number(new URL(registry.url).port));
      const method = target.endsWith('uploads/') ? 'POST' : 'GET';
      raw.write(
        [
          `${method} ${target} HTTP/1.1`,
          `Host: ${evil}`,
          `X-Forwarded-Host: ${evil}`,
          `X-Forwarded-Proto: ${evil}`,
          `Forwarded: host=${evil};proto=${evil}`,
          `X-Request-Id: a b ${evil}`,
          `X-Original-URL: //${evil}/`,
          '\r\n',
        ].join('\r\n'),
      );

      const answer = await raw.answer(method);

      expect(answer?.status).toBeLessThan(300);
      expect([...(answer?.headers.keys() ?? [])]).not.toContain(evil);
      const values = [...(answer?.headers ?? [])]
        .filter(([name]) => name !== 'link')
        .map(([, value]) => value);
      expect(values.join('\n')).not.toContain(evil);
      raw.destroy();
    }
  });

  test.each([
    ['a bare line feed', 'X-Forwarded-Host: r.example\nX-Evil: 1'],
    ['a bare carriage return', 'X-Forwarded-Host: r.example\rX-Evil: 1'],
    ['a NUL', 'X-Forwarded-Host: r.example\0'],
    ['a folded line', 'X-Forwarded-Host: r.example\r\n X-Evil: 1'],
    ['two hosts', 'Host: evil.example'],
  ])('is refused with %s in it', async (_, line) => {
    const raw = await RawConnection.open(Number(new URL(registry.url).port));
    raw.write(`GET /v2/ HTTP/1.1\r\nHost: r.example\r\n${line}\r\n\r\n`);

    const answer = await raw.answer();

    expect(answer?.status).toBe(400);
    raw.destroy();
  });
});

describe('a proxy', () => {
  it('that is trusted tells the address and the name of a request', async () => {
    expect(await loggedAddress(PROXIED)).toBe('203.0.113.9');
    expect(await loggedAddress({ forwarded: 'for="[2001:DB8::9]:4711"' })).toBe('2001:db8::9');
    expect(await loggedAddress({ 'x-forwarded-for': 'nonsense' })).toBe('127.0.0.1');
    expect(await namespaceStatus('other.example', { 'x-forwarded-host': 'other.example' })).toBe(200);
    expect(await namespaceStatus('other.example', {})).toBe(404);
    expect(await namespaceStatus('r.example', {})).toBe(200);
  });

  it('that is not trusted any more changes nothing', async () => {
    await reconfigure(registry, (config) => ({
      ...config,
      http: { ...config.http, trustedProxies: ['10.0.0.0/8'] },
    }));

    expect(await loggedAddress(PROXIED)).toBe('127.0.0.1');
    const upload = await registry.call('/v2/a/blobs/uploads/', { method: 'POST', headers: PROXIED });
    expect(upload.headers.location).toMatch(/^\/v2\//);
    const forwarded = 'for=203.0.113.9;host=other.example';
    expect(await loggedAddress({ forwarded })).toBe('127.0.0.1');
    expect(await namespaceStatus('other.example', { forwarded })).toBe(404);
  });
});

describe('the switch for deletes', () => {
  it('refuses every delete, names the setting, and lets uploads be cancelled', async () => {
    const upload = await registry.call('/v2/a/blobs/uploads/', { method: 'POST' });
    const remove = (target: string) => registry.call(target, { method: 'DELETE' });
    await reconfigure(registry, (config) => ({ ...config, delete: { enabled: false } }));

    for (const target of [
      '/v2/a/manifests/v1',
      `/v2/a/manifests/${sha256(manifestOf())}`,
      `/v2/a/blobs/${digest}`,
      '/v2/a/_registry-operator/repository',
    ]) {
      const answer = await remove(target);
      expect(answer.status).toBe(405);
      expect(answer.headers.allow).not.toContain('DELETE');
      expect(answer.json()).toMatchObject({
        errors: [{ code: 'UNSUPPORTED', message: expect.stringContaining('delete.enabled') as string }],
      });
    }
    expect((await remove(`/v2/a/blobs/${digest}`)).headers.allow).toBe('GET, HEAD');
    expect((await remove(upload.headers.location ?? '')).status).toBe(204);
    expect((await registry.call('/v2/a/manifests/v1')).status).toBe(200);
  });
});
