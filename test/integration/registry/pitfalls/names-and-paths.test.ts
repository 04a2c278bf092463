/**
 * Names, tags, digests, upload ids and paths that try to leave their place. Advisories: none of the published ones
 * is about them; `CVE-2022-31666` (an id that is not checked against its owner) has its test here for upload ids.
 */
import { randomUUID } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';

import { sha256 } from '../content.ts';
import {
  pushBlob,
  pushImage,
  refusalOf,
  startPitfallServer,
  startUpload,
  type PitfallServer,
} from './server.ts';

let server: PitfallServer;
/** Something to read that lies beside the content. */
const SECRET = 'nobody may read this';

beforeAll(async () => {
  server = await startPitfallServer();
  await writeFile(join(server.folder, 'secret'), SECRET);
});
afterAll(() => server.stop());

/** Sends the target as it is; clients and URL classes would clean it up. */
async function ask(method: string, target: string): Promise<string> {
  const answer = await server.raw(
    `${method} ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
    method,
  );
  expect(answer?.body.toString()).not.toContain(SECRET);
  return refusalOf(answer);
}

const DIGEST = sha256('x');
const ID = randomUUID();

/** Texts that are no name; every endpoint has to refuse each of them. */
const BAD_NAMES: readonly (readonly [what: string, name: string])[] = [
  ['a parent folder', '..'],
  ['a parent folder in the middle', 'a/../b'],
  ['many parent folders', '../../../../etc'],
  ['an escaped parent folder', '%2e%2e'],
  ['a half escaped parent folder', '.%2E'],
  ['a doubly escaped parent folder', '%252e%252e'],
  ['a current folder', 'a/./b'],
  ['an escaped slash', 'a%2fb'],
  ['an escaped slash in upper case', 'a%2Fb'],
  ['a doubly escaped slash', 'a%252fb'],
  ['a slash that is escaped three times', 'a%25252fb'],
  ['a backslash', String.raw`a\b`],
  ['an escaped backslash', 'a%5cb'],
  ['a climb with backslashes', String.raw`..\..\etc`],
  ['an escaped NUL', 'a%00'],
  ['a doubly escaped NUL', 'a%2500'],
  ['an escaped line break', 'a%0d%0aset-cookie:x'],
  ['an escaped tab', 'a%09'],
  ['an escaped DEL', 'a%7f'],
  ['half an escape', 'a%2'],
  ['an escape of nothing', 'a%zz'],
  ['an overlong slash', 'a%c0%afb'],
  ['an overlong dot', '%c0%ae%c0%ae'],
  ['half a character', 'a%e2%82'],
  ['a full-width slash', 'a%ef%bc%8fb'],
  ['a full-width dot', '%ef%bc%8e%ef%bc%8e'],
  ['an empty component', 'a//b'],
  ['an empty component in front', '/a'],
  ['an upper case letter', 'Library/alpine'],
  ['a letter outside of ASCII', '%c3%a9'],
  ['the Turkish i, which some lower to ASCII', '%c4%b0'],
  ['a folder of uploads', '_uploads'],
  ['a folder of layers', 'a/_layers'],
  ['a folder of manifests', 'a/_manifests'],
  ['a folder of referrers', 'a/_referrers'],
  ['the catalog', '_catalog'],
  ['a temporary folder of the storage', '.tmp~'],
  ['a tilde', 'a~lock'],
  ['a space', 'a%20b'],
  ['a colon', 'a:b'],
  ['a question mark', 'a%3fb'],
  ['a hash', 'a%23b'],
  ['a dot at the end', 'a.'],
  ['a separator in front', '-a'],
  ['two dots', 'a..b'],
  ['256 characters', 'a'.repeat(256)],
  ['256 characters in components', `${'a/'.repeat(127)}aa`],
  ['8000 characters', 'a/'.repeat(4000) + 'a'],
];

const ENDPOINTS: readonly (readonly [string, (name: string) => string])[] = [
  ['GET', (name) => `/v2/${name}/tags/list`],
  ['GET', (name) => `/v2/${name}/manifests/latest`],
  ['PUT', (name) => `/v2/${name}/manifests/latest`],
  ['DELETE', (name) => `/v2/${name}/manifests/latest`],
  ['GET', (name) => `/v2/${name}/blobs/${DIGEST}`],
  ['DELETE', (name) => `/v2/${name}/blobs/${DIGEST}`],
  ['POST', (name) => `/v2/${name}/blobs/uploads/`],
  ['POST', (name) => `/v2/${name}/blobs/uploads/?digest=${DIGEST}`],
  ['PATCH', (name) => `/v2/${name}/blobs/uploads/${ID}`],
  ['PUT', (name) => `/v2/${name}/blobs/uploads/${ID}?digest=${DIGEST}`],
  ['GET', (name) => `/v2/${name}/referrers/${DIGEST}`],
];

describe('a repository name', () => {
  test.each(BAD_NAMES)('with %s is refused by every endpoint', async (_, name) => {
    for (const [method, target] of ENDPOINTS) {
      expect(`${method} ${await ask(method, target(name))}`).toBe(`${method} 400 NAME_INVALID`);
    }
  });

  test.each(BAD_NAMES)('with %s has no extension', async (_, name) => {
    // What begins with an underscore is another extension, which there is not.
    const refusals = ['400 NAME_INVALID', '404 UNSUPPORTED'];

    expect(refusals).toContain(await ask('DELETE', `/v2/${name}/_registry-operator/repository`));
    expect(refusals).toContain(await ask('GET', `/v2/${name}/_oci/ext/discover`));
  });

  test.each([
    'blobs/uploads',
    'a/manifests/b',
    'blobs',
    'manifests/latest',
    'tags/list',
    'v2/a',
    'a'.repeat(255),
  ])('%s is like any other', async (name) => {
    const blob = await pushBlob(server, name, `blob of ${name}`);
    const manifest = await pushImage(server, name, 'list');

    const pulled = await server.call(`/v2/${name}/blobs/${blob}`);
    const tagged = await server.call(`/v2/${name}/manifests/list`);
    const tags = await server.call(`/v2/${name}/tags/list`);

    expect(pulled.body.toString()).toBe(`blob of ${name}`);
    expect(tagged.headers['docker-content-digest']).toBe(manifest);
    expect(tags.json()).toEqual({ name, tags: ['list'] });
  });

  it('may not come from a mount', async () => {
    for (const from of ['../x', '..%2F..', '/etc', 'A', '%00', 'a'.repeat(300)]) {
      const answer = await server.call(`/v2/mount/blobs/uploads/?mount=${DIGEST}&from=${from}`, {
        method: 'POST',
      });
      expect(answer.status).toBe(202);
    }
  });
});

describe('a tag', () => {
  test.each([
    ['..', '400 NAME_INVALID'],
    ['.', '400 NAME_INVALID'],
    ['%2e%2e', '400 NAME_INVALID'],
    ['%252e%252e', '400 TAG_INVALID'],
    ['.hidden', '400 TAG_INVALID'],
    ['-dash', '400 TAG_INVALID'],
    ['a%2fb', '400 NAME_INVALID'],
    ['a%5cb', '400 NAME_INVALID'],
    ['a%00b', '400 NAME_INVALID'],
    ['a%0ab', '400 NAME_INVALID'],
    ['a~', '400 TAG_INVALID'],
    ['a%20', '400 TAG_INVALID'],
    ['%c3%a9', '400 TAG_INVALID'],
    ['', '400 NAME_INVALID'],
    ['a'.repeat(129), '400 TAG_INVALID'],
    ['a'.repeat(5000), '400 TAG_INVALID'],
  ])('%s is refused', async (tag, refusal) => {
    for (const method of ['GET', 'PUT', 'DELETE']) {
      expect(await ask(method, `/v2/tags-of/manifests/${tag}`)).toBe(refusal);
    }
  });

  test.each(['current', 'index', 'link', '_', '__proto__', 'constructor', 'sha256', 'con', 'a'.repeat(128)])(
    '%s is like any other',
    async (tag) => {
      const digest = await pushImage(server, 'good-tags', tag);
      const answer = await server.call(`/v2/good-tags/manifests/${tag}`, { method: 'HEAD' });
      const deleted = await server.call(`/v2/good-tags/manifests/${tag}`, { method: 'DELETE' });

      expect([answer.status, answer.headers['docker-content-digest'], deleted.status]).toEqual([
        200,
        digest,
        202,
      ]);
    },
  );

  it('that differs only in case is another one', async () => {
    const lower = await pushImage(server, 'case', 'v1');
    const upper = await pushImage(server, 'case', 'V1');

    const answers = await Promise.all(['v1', 'V1'].map((tag) => server.call(`/v2/case/manifests/${tag}`)));

    expect(lower).not.toBe(upper);
    expect(answers.map(({ headers }) => headers['docker-content-digest'])).toEqual([lower, upper]);
  });
});

describe('a digest', () => {
  const hex = 'a'.repeat(64);

  test.each([
    ['a path as its algorithm', `..:${hex}`],
    ['another algorithm', `md5:${'a'.repeat(32)}`],
    ['an algorithm of two', `sha256+b64:${hex}`],
    ['upper case digits', `sha256:${'A'.repeat(64)}`],
    ['an algorithm in upper case', `SHA256:${hex}`],
    ['a digit too few', `sha256:${'a'.repeat(63)}`],
    ['a digit too many', `sha256:${hex}a`],
    ['the length of another algorithm', `sha512:${hex}`],
    ['no digits', 'sha256:'],
    ['something behind it', `sha256:${hex}%0a`],
    ['a letter that is no digit', `sha256:${'g'.repeat(64)}`],
    ['two colons', `sha256::${'a'.repeat(63)}`],
    ['10000 digits', `sha256:${'a'.repeat(10_000)}`],
  ])('with %s is refused', async (_, digest) => {
    const refused = digest.includes('%0a') ? '400 NAME_INVALID' : '400 DIGEST_INVALID';
    for (const kind of ['blobs', 'manifests', 'referrers']) {
      expect(`${kind} ${await ask('GET', `/v2/a/${kind}/${digest}`)}`).toBe(`${kind} ${refused}`);
    }
    for (const query of [`?digest=${digest}`, `?digest=${digest}&digest=${DIGEST}`]) {
      expect(await ask('POST', `/v2/a/blobs/uploads/${query}`)).toBe('400 DIGEST_INVALID');
    }
  });

  it.each([`../:${hex}`, `sha256/..:${hex}`, `%2e%2e%2f:${hex}`])('%s is no path', async (digest) => {
    for (const kind of ['blobs', 'manifests', 'referrers']) {
      expect(await ask('GET', `/v2/a/${kind}/${digest}`)).toMatch(
        /^(?:400 (?:NAME|DIGEST)_INVALID|404 UNSUPPORTED)$/,
      );
    }
  });
});

describe('an upload id', () => {
  test.each([
    'x',
    '0',
    ID.toUpperCase(),
    `${ID}x`,
    `{${ID}}`,
    ID.replaceAll('-', ''),
    '_uploads',
    'hashstates',
    `${ID}~lock`,
    'a'.repeat(9000),
  ])('%s that is none is unknown', async (id) => {
    for (const method of ['GET', 'PATCH', 'DELETE']) {
      expect(await ask(method, `/v2/a/blobs/uploads/${id}`)).toBe('404 BLOB_UPLOAD_UNKNOWN');
    }
    expect(await ask('PUT', `/v2/a/blobs/uploads/${id}?digest=${DIGEST}`)).toBe('404 BLOB_UPLOAD_UNKNOWN');
  });

  test.each(['..', '.', '%2e%2e', `..%2f${ID}`, `${ID}%00`, `${ID}%5c`])('%s is refused', async (id) => {
    expect(await ask('GET', `/v2/a/blobs/uploads/${id}`)).toBe('400 NAME_INVALID');
  });

  it('CVE-2022-31666: is known only to the repository that it was made for', async () => {
    const location = await startUpload(server, 'owner/one');
    const elsewhere = location.replace('owner/one', 'owner/two');

    for (const method of ['GET', 'PATCH', 'DELETE']) {
      expect(await ask(method, elsewhere)).toBe('404 BLOB_UPLOAD_UNKNOWN');
    }
    expect(await ask('PUT', `${elsewhere}?digest=${sha256('')}`)).toBe('404 BLOB_UPLOAD_UNKNOWN');
    expect((await server.call(location)).status).toBe(204);
  });
});

describe('a path', () => {
  test.each([
    '/',
    '//',
    '/v2//',
    '//v2/',
    '/v1/_ping',
    '/v2/a',
    '/metrics',
    '/debug/vars',
    '/debug/pprof/',
    '/favicon.ico',
    '/v2/_catalog/',
    '/v2/_catalog/x',
    '/V2/',
    '/v2/a/b/c/d',
    '//evil.example.com/v2/',
    '/v2/_oci/ext/unknown',
    '/v2/a/_oci/ext/discover/x',
    '/v2/a/_registry-operator/config',
    '/.well-known/x',
  ])('%s that is no endpoint says so', async (path) => {
    expect(await ask('GET', path)).toMatch(/^(?:404 UNSUPPORTED|400 NAME_INVALID)$/);
  });

  it('with a slash at its end is not another spelling of the one without', async () => {
    await pushImage(server, 'slash', 'v1');

    expect(await ask('GET', '/v2/slash/tags/list/')).toBe('400 NAME_INVALID');
    expect(await ask('GET', '/v2/slash/manifests/v1/')).toBe('400 NAME_INVALID');
    expect(await ask('GET', `/v2/slash/blobs/${sha256('{}')}/`)).toBe('400 NAME_INVALID');
  });

  it('may be given as a whole URL, of which only the path counts', async () => {
    const answer = await server.raw(
      'GET http://other.example.com/v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    );

    // RFC 9112 §3.2.2
    expect(answer?.status).toBe(200);
    expect(await ask('GET', 'http://other.example.com/../v2/')).toBe('404 UNSUPPORTED');
    expect(await ask('GET', 'ftp://other.example.com/v2/')).toBe('404 UNSUPPORTED');
  });

  it('with a query that repeats a parameter, or names one like a member of every object, is read as usual', async () => {
    await pushImage(server, 'query', 'v1');
    for (const query of ['?n=1&n=abc', '?__proto__=1&constructor=x', '?n[]=1', '?%00=1', '?&&&=', '?a=%zz']) {
      expect((await server.call(`/v2/query/tags/list${query}`)).status).toBe(200);
    }
  });
});

it('has written nothing but names of the grammar, and only below its folder', async () => {
  expect((await readdir(server.folder)).toSorted()).toEqual([
    'config.json',
    'data',
    'registry.log',
    'secret',
  ]);
  const names = await readdir(join(server.folder, 'data'), { recursive: true });
  expect(names.filter((name) => !/^[A-Za-z0-9._/+~-]+$/.test(name))).toEqual([]);
  expect(names.filter((name) => name.split('/').includes('..'))).toEqual([]);
});

it('is as healthy as before', async () => {
  expect(await server.problems()).toEqual([]);
});
