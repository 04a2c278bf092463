/**
 * What clients put into the head of a request: hosts, line breaks, forwarding headers of strangers. Advisories: the
 * open redirects of Harbor (2026-02) and zot (2026-03, #4238), zot's CORS with credentials.
 */
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';

import { RawConnection, type RawAnswer } from '../raw-http.ts';
import { pushBlob, pushImage, refusalOf, startPitfallServer, type PitfallServer } from './server.ts';

/** On the loopback interface a client can have any of its addresses; the server trusts this one. */
const PROXY = '127.0.0.2';
const EXTERNAL = 'https://registry.example.com';

let server: PitfallServer;

beforeAll(async () => {
  server = await startPitfallServer({
    http: { externalURL: EXTERNAL, trustedProxies: [PROXY], hosts: ['mirror.example.com'] },
  });
  for (const tag of ['a', 'b', 'c']) await pushImage(server, 'headers', tag);
});
afterAll(() => server.stop());

interface Head {
  readonly method?: string;
  readonly target?: string;
  /** Lines, without the breaks between them. */
  readonly headers?: readonly string[];
  readonly from?: string;
}

async function ask({
  method = 'GET',
  target = '/v2/',
  headers = ['Host: x'],
  from,
}: Head): Promise<RawAnswer> {
  const lines = [`${method} ${target} HTTP/1.1`, ...headers, 'Content-Length: 0', '', ''];
  const connection = await RawConnection.open(server.port, '127.0.0.1', from);
  try {
    connection.write(lines.join('\r\n'));
    const answer = await connection.answer(method);
    if (!answer) throw new Error('no answer');
    return answer;
  } finally {
    connection.destroy();
  }
}

function withNamespace(ns: string): Head {
  return { target: `/v2/headers/tags/list?ns=${ns}` };
}

/** The line of the log about a request. */
function lineOf(id: string): string {
  return JSON.stringify(server.log().find(({ requestId }) => requestId === id) ?? {});
}

/** Where the answers of a registry point to: a session, a blob, the next page. */
async function pointers(headers: readonly string[], from?: string): Promise<(string | undefined)[]> {
  const more = from === undefined ? {} : { from };
  const upload = await ask({ method: 'POST', target: '/v2/headers/blobs/uploads/', headers, ...more });
  const tags = await ask({ target: '/v2/headers/tags/list?n=1', headers, ...more });
  const catalog = await ask({ target: '/v2/_catalog?n=0', headers, ...more });
  expect([upload.status, tags.status, catalog.status]).toEqual([202, 200, 200]);
  return [upload.headers.get('location'), tags.headers.get('link')];
}

const RELATIVE = [
  expect.stringMatching(/^\/v2\/headers\/blobs\/uploads\/[0-9a-f-]{36}$/),
  '</v2/headers/tags/list?n=1&last=a>; rel="next"',
];
const ABSOLUTE = [
  expect.stringMatching(/^https:\/\/registry\.example\.com\/v2\/headers\/blobs\/uploads\/[0-9a-f-]{36}$/),
  '<https://registry.example.com/v2/headers/tags/list?n=1&last=a>; rel="next"',
];

describe('the Host of a request', () => {
  test.each([
    'evil.example.com',
    'evil.example.com:443',
    'registry.example.com.evil.example.com',
    'registry.example.com@evil.example.com',
    'evil.example.com/registry.example.com',
    'registry.example.com#x',
    'registry.example.com, evil.example.com',
    'registry.example.com:5000',
    'mirror.example.com',
    '">x',
    '',
    'x'.repeat(5000),
  ])('%.60s is never where an answer points to', async (host) => {
    expect(await pointers([`Host: ${host}`])).toEqual(RELATIVE);
  });

  it('that is the external one gives URLs below that, as it is configured', async () => {
    expect(await pointers(['Host: registry.example.com'])).toEqual(ABSOLUTE);
    expect(await pointers(['Host: REGISTRY.example.COM:443'])).toEqual(ABSOLUTE);
  });

  it('may not be missing', async () => {
    expect((await ask({ headers: [] })).status).toBe(400);
  });

  it('of a namespace has to be one of ours exactly', async () => {
    expect((await ask(withNamespace('mirror.example.com'))).status).toBe(200);
    for (const ns of [
      'mirror.example.com.evil.com',
      'amirror.example.com',
      'mirror.example.com%00',
      '169.254.169.254',
    ]) {
      expect(refusalOf(await ask(withNamespace(ns)))).toBe('404 NAME_UNKNOWN');
    }
  });
});

describe('forwarding headers', () => {
  const HOSTS = ['registry.example.com', 'evil.example.com', 'a, b', '"', `x\ty`];

  test.each([
    ...HOSTS.map((host) => `X-Forwarded-Host: ${host}`),
    'Forwarded: host=registry.example.com;proto=http;for=1.2.3.4',
    'X-Forwarded-Proto: ftp',
    'X-Forwarded-Prefix: //evil.example.com',
    'X-Forwarded-Port: 666',
    'X-Original-Host: evil.example.com',
    'X-Original-URL: /v2/_catalog',
    'X-Rewrite-URL: /v2/_catalog',
    'X-Host: evil.example.com',
    'Front-End-Https: on',
  ])('%s of a stranger changes nothing', async (header) => {
    expect(await pointers(['Host: x', header])).toEqual(RELATIVE);
  });

  it('X-Forwarded-Host of a trusted proxy counts only when it names the external URL', async () => {
    expect(await pointers(['Host: x', 'X-Forwarded-Host: registry.example.com'], PROXY)).toEqual(ABSOLUTE);
    for (const host of ['evil.example.com', 'registry.example.com.evil.com', '"', '[::1']) {
      expect(await pointers(['Host: x', `X-Forwarded-Host: ${host}`], PROXY)).toEqual(RELATIVE);
    }
  });

  test.each([
    'Forwarded: for="[::1]";host="evil.example.com"',
    'Forwarded: for=unknown;host=x, for=',
    'Forwarded: ;;;,,,===',
    'Forwarded: for="\\\\\\"',
    `Forwarded: ${'for=1.2.3.4, '.repeat(1500)}for=1.2.3.4`,
    `Forwarded: ${'"'.repeat(20_000)}`,
    `Forwarded: ${'a'.repeat(20_000)}`,
    `X-Forwarded-For: ${'127.0.0.2,'.repeat(2000)}127.0.0.2`,
    'X-Forwarded-For: ::ffff:1.2.3.4, 0x7f.1, 999.1.1.1, 1.2.3.4:99999999',
    'X-Forwarded-For: <script>',
  ])('%.60s of a trusted proxy, whatever it is, is read at once and does no harm', async (header) => {
    const started = performance.now();

    expect(await pointers(['Host: x', header], PROXY)).toEqual(RELATIVE);
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it('of a stranger do not change who he is in the log', async () => {
    await ask({
      target: '/v2/?who=stranger',
      headers: ['Host: x', 'X-Forwarded-For: 6.6.6.6', 'X-Request-Id: stranger'],
    });
    await ask({ headers: ['Host: x', 'X-Forwarded-For: 7.7.7.7', 'X-Request-Id: proxied'], from: PROXY });

    await expect.poll(() => lineOf('stranger'), { timeout: 10_000 }).toContain('127.0.0.1');
    expect(lineOf('stranger')).not.toContain('6.6.6.6');
    await expect.poll(() => lineOf('proxied'), { timeout: 10_000 }).toContain('7.7.7.7');
  });
});

describe('line breaks', () => {
  test.each([
    ['a carriage return in a value', 'X-A: a\rX-B: b'],
    ['a NUL in a value', 'X-A: a\0b'],
    ['a NUL in a name', 'X-\0A: b'],
    ['a space in a name', 'X A: b'],
    ['a space before the colon', 'Host : y'],
    ['no name', ': x'],
    ['no colon', 'nonsense'],
    ['a DEL in a value', 'X-A: \x7f'],
  ])('%s are refused', async (_, header) => {
    const answer = await ask({ headers: ['Host: x', header] });

    expect(answer.status).toBe(400);
  });

  test.each([
    '/v2/headers/tags/list?n=1&last=%0d%0aSet-Cookie:%20a=b',
    '/v2/headers/tags/list?n=1&x=%0d%0a%0d%0aHTTP/1.1%20200%20OK',
    '/v2/headers/tags/list?n=1&%0d%0aX-Injected:1=1',
    '/v2/headers/tags/list?n=1&x=%3E;%20rel=%22next%22,%3Chttp://evil%3E',
    '/v2/headers/tags/list?n=1&x=%e2%80%a8%c2%85',
  ])('%s in a query do not come back in a header', async (target) => {
    const answer = await ask({ target });

    expect(answer.headers.get('set-cookie')).toBeUndefined();
    expect(answer.headers.get('x-injected')).toBeUndefined();
    expect(answer.head).not.toContain('evil>');
    expect(answer.headers.get('link') ?? '').toMatch(
      /^(?:<\/v2\/headers\/tags\/list\?[\w%=&.+*-]+>; rel="next")?$/,
    );
  });

  test.each(['a b', 'a\tb', '<script>', '"', 'x'.repeat(65), '\xff', '{}', 'a,b'])(
    'or worse in X-Request-Id, %.20j, is not what the answer carries',
    async (id) => {
      const answer = await ask({ headers: ['Host: x', `X-Request-Id: ${id}`] });

      expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    },
  );

  it('by X-Request-Id twice are none', async () => {
    const answer = await ask({ headers: ['Host: x', 'X-Request-Id: a', 'X-Request-Id: b'] });

    expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('an answer', () => {
  it('carries nothing that makes a browser do something', async () => {
    await pushBlob(server, 'headers', '<html><script>alert(1)</script></html>');
    const digest = await pushBlob(server, 'headers', '<script>');
    const answers = await Promise.all([
      ask({ target: `/v2/headers/blobs/${digest}`, headers: ['Host: x', 'Accept: text/html'] }),
      ask({ target: '/v2/headers/manifests/%3Cscript%3E', headers: ['Host: x', 'Accept: text/html'] }),
      ask({ target: '/<script>', headers: ['Host: x'] }),
      ask({ method: 'BREW', target: '/<script>', headers: ['Host: x'] }),
    ]);
    for (const { headers } of answers) {
      expect(headers.get('content-type')).toMatch(/^application\/(?:json|octet-stream)/);
      expect(headers.get('set-cookie')).toBeUndefined();
      expect([...headers.keys()].filter((name) => /^(?:server|x-powered-by|refresh)$/.test(name))).toEqual(
        [],
      );
    }
  });

  test.each(['https://evil.example.com', 'null', EXTERNAL])(
    'allows the origin %s nothing (zot, CORS)',
    async (origin) => {
      const headers = ['Host: x', `Origin: ${origin}`, 'Access-Control-Request-Method: PUT'];
      const answers = [await ask({ headers }), await ask({ method: 'OPTIONS', headers })];

      for (const answer of answers) {
        expect([...answer.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
      }
      expect(answers[1]?.status).toBe(405);
    },
  );

  test.each([
    '//evil.example.com',
    '//evil.example.com/v2/',
    String.raw`/\evil.example.com`,
    '/v2/%2f%2fevil.example.com',
    '/v2//evil.example.com/',
    '/v2/?callback=//evil.example.com&redirect=http://evil&next=http://evil',
  ])('to %s is no redirect (Harbor 2026-02, zot #4238)', async (target) => {
    const answer = await ask({ target });

    expect([200, 400, 404]).toContain(answer.status);
    expect(answer.headers.get('location')).toBeUndefined();
  });

  it('to a manifest is never compressed', async () => {
    const answer = await ask({
      target: '/v2/headers/manifests/a',
      headers: ['Host: x', 'Accept-Encoding: gzip, br'],
    });

    expect(answer.headers.get('content-encoding')).toBeUndefined();
    expect(answer.headers.get('content-length')).toBe(String(answer.body.length));
  });
});

describe('methods', () => {
  test.each(['TRACE', 'OPTIONS', 'PROPFIND', 'PURGE', 'QUERY', 'SEARCH', 'LOCK', 'M-SEARCH'])(
    '%s are refused and reflect nothing',
    async (method) => {
      const answer = await ask({
        method,
        headers: ['Host: x', 'Authorization: Basic c2VjcmV0OnNlY3JldA==', 'Cookie: a'],
      });

      expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
      expect(answer.body.toString()).not.toContain('c2VjcmV0');
    },
  );

  test.each(['get', 'Get', 'GET,', 'GE T', 'FOO', '', 'G\xc9T', 'DELETE\t'])(
    '%j are no HTTP',
    async (method) => {
      expect((await ask({ method })).status).toBe(400);
    },
  );

  test.each(['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override', '_method'])(
    'in %s do not count',
    async (header) => {
      await ask({ target: '/v2/headers/manifests/a', headers: ['Host: x', `${header}: DELETE`] });
      await ask({ target: '/v2/headers/manifests/a?_method=DELETE&method=DELETE', headers: ['Host: x'] });

      expect((await ask({ target: '/v2/headers/manifests/a' })).status).toBe(200);
    },
  );

  it('CONNECT opens no tunnel', async () => {
    const connection = await server.connect();
    connection.write('CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n');
    const answer = await connection.answer('CONNECT');

    expect(answer?.status ?? 400).toBeGreaterThanOrEqual(400);
    await connection.closed();
  });
});

it('the operations port shows no more than it should', async () => {
  for (const path of [
    '/debug/vars',
    '/debug/pprof/heap',
    '/config',
    '/env',
    '/',
    '/v2/',
    '/readyz/../config',
    '//metrics/',
  ]) {
    expect((await server.call(`${server.registry.opsUrl}${path}`)).status).toBe(404);
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    expect((await server.call(`${server.registry.opsUrl}/metrics`, { method })).status).toBe(405);
  }
});

it('is as healthy as before', async () => {
  expect(await server.problems()).toEqual([]);
});
