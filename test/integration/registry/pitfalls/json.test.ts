/**
 * Manifests that are no manifests, or two at once, or too much. Advisories: CVE-2021-41190
 * (GHSA-qq97-vm5h-rrhg, GHSA-mc8v-mgrf-8f4m), CVE-2020-15157.
 */
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';

import type { Answer } from '../../../servers/registry.ts';
import { manifestOf, MANIFEST_TYPE, sha256 } from '../content.ts';
import {
  codeOf,
  pushBlob,
  pushImage,
  putManifest,
  refusalOf,
  startPitfallServer,
  type PitfallServer,
} from './server.ts';

const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
const DOCKER_TYPE = 'application/vnd.docker.distribution.manifest.v2+json';
const DOCKER_LIST_TYPE = 'application/vnd.docker.distribution.manifest.list.v2+json';
const CONFIG = { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256('{}'), size: 2 };
const IMAGE = { schemaVersion: 2, mediaType: MANIFEST_TYPE, config: CONFIG, layers: [] };
const INDEX = { schemaVersion: 2, mediaType: INDEX_TYPE, manifests: [] };

let server: PitfallServer;
let pushed = 0;

beforeAll(async () => {
  server = await startPitfallServer();
  await pushBlob(server, 'json', '{}');
});
afterAll(() => server.stop());

/** Pushes under a tag of its own. */
function put(manifest: object | string | Uint8Array, type = MANIFEST_TYPE): Promise<Answer> {
  pushed += 1;
  const bytes =
    typeof manifest === 'string' || manifest instanceof Uint8Array ? manifest : JSON.stringify(manifest);
  return putManifest(server, `/v2/json/manifests/t${pushed}`, bytes, { type });
}

async function expectRefused(manifest: object | string | Uint8Array, type = MANIFEST_TYPE): Promise<string> {
  const answer = await put(manifest, type);
  const tag = await server.call(`/v2/json/manifests/t${pushed}`, { method: 'HEAD' });
  expect(tag.status).toBe(404);
  return refusalOf(answer);
}

/** A list of `count` descriptors of the same blob. */
function many(count: number): object[] {
  return Array.from({ length: count }, () => CONFIG);
}

describe('CVE-2021-41190: a document that is two things', () => {
  test.each([
    ['an image with manifests', { ...IMAGE, manifests: [] }, MANIFEST_TYPE],
    ['an index with layers', { ...INDEX, layers: [] }, INDEX_TYPE],
    ['an index with a config', { ...INDEX, config: CONFIG }, INDEX_TYPE],
    ['an index without its type, with layers', { schemaVersion: 2, manifests: [], layers: [] }, INDEX_TYPE],
    ['both without a type', { schemaVersion: 2, config: CONFIG, layers: [], manifests: [] }, MANIFEST_TYPE],
    ['an image whose manifests are null', { ...IMAGE, manifests: null }, MANIFEST_TYPE],
    ['an image sent as an index', IMAGE, INDEX_TYPE],
    ['an index sent as an image', INDEX, MANIFEST_TYPE],
    ['an image of Docker sent as one of OCI', { ...IMAGE, mediaType: DOCKER_TYPE }, MANIFEST_TYPE],
    ['an image of OCI sent as one of Docker', IMAGE, DOCKER_TYPE],
    ['an index of OCI sent as a list of Docker', INDEX, DOCKER_LIST_TYPE],
    ['an image of Docker without its type', { ...IMAGE, mediaType: undefined }, DOCKER_TYPE],
    ['members that differ in case', { ...IMAGE, Manifests: [] }, MANIFEST_TYPE],
    ['a type that differs in case', { ...IMAGE, MEDIATYPE: INDEX_TYPE }, MANIFEST_TYPE],
    ['members that Unicode folds into ASCII', { ...IMAGE, 'manife\u017Ft\u017F': [] }, MANIFEST_TYPE],
    ['a type that is a list', { ...IMAGE, mediaType: [MANIFEST_TYPE] }, MANIFEST_TYPE],
    ['a type with a parameter', { ...IMAGE, mediaType: `${MANIFEST_TYPE}; x=y` }, MANIFEST_TYPE],
  ])('%s is refused', async (_, manifest, type) => {
    expect(await expectRefused(manifest, type)).toMatch(/^4(?:00|15) MANIFEST_INVALID$/);
  });

  test.each([
    ['layers', `"layers":[],"layers":[{}]`],
    ['mediaType', `"layers":[],"mediaType":"${INDEX_TYPE}"`],
    ['an escaped member', String.raw`"layers":[],"\u006cayers":[]`],
    ['config', `"layers":[],"config":{}`],
    ['__proto__', `"layers":[],"__proto__":{},"__proto__":{}`],
  ])('%s twice is refused', async (_, members) => {
    const text = `{"schemaVersion":2,"mediaType":"${MANIFEST_TYPE}","config":${JSON.stringify(CONFIG)},${members}}`;

    expect(await expectRefused(text)).toBe('400 MANIFEST_INVALID');
  });

  it('is served as what it was pushed as, whatever the client accepts', async () => {
    await put(IMAGE);
    for (const accept of [INDEX_TYPE, DOCKER_TYPE, '*/*', 'nonsense', '']) {
      const answer = await server.call(`/v2/json/manifests/t${pushed}`, { headers: { accept } });
      expect([answer.status, answer.headers['content-type']]).toEqual([200, MANIFEST_TYPE]);
    }
  });
});

describe('text that is no JSON, or not only', () => {
  const text = JSON.stringify(IMAGE);

  test.each([
    ['nothing', ''],
    ['a space', ' '],
    ['null', 'null'],
    ['a number', '1'],
    ['a string', '"x"'],
    ['a list', '[]'],
    ['half of it', text.slice(0, -1)],
    ['something behind it', `${text}x`],
    ['two documents', `${text}${text}`],
    ['a comment', `/* */${text}`],
    ['a comma too much', text.replace('}', ',}')],
    ['single quotes', text.replaceAll('"', "'")],
    ['NaN', text.replace('"size":2', '"size":NaN')],
    ['a byte order mark', `\uFEFF${text}`],
    ['UTF-16', Buffer.from(text, 'utf16le')],
    ['bytes that are no UTF-8', Buffer.concat([Buffer.from(text.slice(0, -1)), Buffer.from([0xff, 0x7d])])],
    ['an overlong NUL', Buffer.from([0x7b, 0x22, 0xc0, 0x80, 0x22, 0x3a, 0x31, 0x7d])],
    ['a raw line break in a string', text.replace('"layers"', '"a":"\n","layers"')],
    ['a raw NUL', `${text}\0`],
    ['XML', '<?xml version="1.0"?><a/>'],
    ['gzip', Buffer.from('1f8b0800000000000003', 'hex')],
  ])('%s is refused', async (_, manifest) => {
    expect(await expectRefused(manifest)).toBe('400 MANIFEST_INVALID');
  });

  test.each([
    ['lists', '['],
    ['objects', '{"a":'],
    ['both', '[{"a":'],
  ])('nested a million times in %s is refused at once', async (_, open) => {
    const started = performance.now();
    const bomb = open.repeat(Math.floor(1_000_000 / open.length));

    for (const manifest of [bomb, text.replace('"layers":[]', `"layers":[],"x":${bomb}`)]) {
      expect(await expectRefused(manifest)).toBe('400 MANIFEST_INVALID');
    }
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

describe('members that are not what they should be', () => {
  const layer = (change: object): object => ({ ...IMAGE, layers: [{ ...CONFIG, ...change }] });

  test.each([
    ['schemaVersion 1', { ...IMAGE, schemaVersion: 1 }],
    ['schemaVersion 3', { ...IMAGE, schemaVersion: 3 }],
    ['schemaVersion "2"', { ...IMAGE, schemaVersion: '2' }],
    ['no schemaVersion', { ...IMAGE, schemaVersion: undefined }],
    ['no config', { ...IMAGE, config: undefined }],
    ['a config that is a list', { ...IMAGE, config: [CONFIG] }],
    ['no layers', { ...IMAGE, layers: undefined }],
    ['layers that are an object', { ...IMAGE, layers: { length: 1, 0: CONFIG } }],
    ['a layer that is null', { ...IMAGE, layers: [null] }],
    ['a layer that is a string', { ...IMAGE, layers: [CONFIG.digest] }],
    ['a size below zero', layer({ size: -1 })],
    ['a size of 2^53', layer({ size: 2 ** 53 })],
    ['a size of 1e400', JSON.stringify(layer({ size: 1 })).replace('"size":1', '"size":1e400')],
    ['half a byte', layer({ size: 0.5 })],
    ['a size as text', layer({ size: '2' })],
    ['a size of null', layer({ size: null })],
    ['a digest of another algorithm', layer({ digest: 'md5:d41d8cd98f00b204e9800998ecf8427e' })],
    ['a digest that climbs', layer({ digest: `../:${'a'.repeat(64)}` })],
    ['a digest with a line break', layer({ digest: `${CONFIG.digest}\n` })],
    ['a digest that is an object', layer({ digest: { toString: 'x' } })],
    ['a digest in upper case', layer({ digest: CONFIG.digest.toUpperCase() })],
    ['no media type', layer({ mediaType: undefined })],
    ['a media type with a line break', layer({ mediaType: 'a/b\r\nX: y' })],
    ['a media type of 300 characters', layer({ mediaType: `a/${'b'.repeat(300)}` })],
    ['a subject that is text', { ...IMAGE, subject: CONFIG.digest }],
    ['a subject without a digest', { ...IMAGE, subject: { mediaType: MANIFEST_TYPE, size: 1 } }],
    ['a subject that climbs', { ...IMAGE, subject: { ...CONFIG, digest: '../../x' } }],
  ])('%s is refused', async (_, manifest) => {
    expect(await expectRefused(manifest)).toMatch(/^4(?:00|15) MANIFEST_INVALID$/);
  });

  test.each([
    ['__proto__ everywhere', `{"__proto__":{"layers":[1],"mediaType":"x"},${JSON.stringify(IMAGE).slice(1)}`],
    [
      'constructor and toString',
      { ...IMAGE, constructor: { prototype: { x: 1 } }, toString: 1, hasOwnProperty: 2 },
    ],
    ['a lone surrogate', `{"x":"\\ud800",${JSON.stringify(IMAGE).slice(1)}`],
    ['an escaped NUL', `{"x":"\\u0000",${JSON.stringify(IMAGE).slice(1)}`],
    ['a huge number in an unknown member', `{"x":${'9'.repeat(10_000)},${JSON.stringify(IMAGE).slice(1)}`],
    ['a member without a name', `{"":1,${JSON.stringify(IMAGE).slice(1)}`],
    ['white space of all kinds', `\t\r\n ${JSON.stringify(IMAGE, undefined, '\t')}\r\n`],
    ['annotations of half a megabyte', { ...IMAGE, annotations: { x: 'y'.repeat(500_000) } }],
    [
      '100000 annotations',
      { ...IMAGE, annotations: Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, ''])) },
    ],
  ])('%s is legal, and comes back byte for byte', async (_, manifest) => {
    const text = typeof manifest === 'string' ? manifest : JSON.stringify(manifest);
    const answer = await put(text);
    const pulled = await server.call(`/v2/json/manifests/t${pushed}`);

    expect([answer.status, answer.headers['docker-content-digest']]).toEqual([201, sha256(text)]);
    expect(pulled.body.toString()).toBe(text);
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  it('are still what they were for the next one: no manifest changes the objects of the server', async () => {
    await put(`{"__proto__":{"subject":{"digest":"x"},"config":1},${JSON.stringify(IMAGE).slice(1)}`);

    expect((await put({ ...IMAGE, annotations: { after: 'it' } })).status).toBe(201);
    expect(await expectRefused({ schemaVersion: 2, mediaType: MANIFEST_TYPE })).toBe('400 MANIFEST_INVALID');
  });
});

describe('a great many', () => {
  test.each([
    ['layers that are one blob', { ...IMAGE, layers: many(25_000) }],
    ['children that are one manifest', { ...INDEX, manifests: [] }],
  ])('%s are looked for once', async (what, manifest) => {
    const child = await pushImage(server, 'json', 'child');
    const bytes = manifestOf({ repository: 'json', reference: 'child' }).length;
    const entry = { mediaType: MANIFEST_TYPE, digest: child, size: bytes };
    const index = what.startsWith('children');
    const document = index
      ? { ...manifest, manifests: Array.from({ length: 20_000 }, () => entry) }
      : manifest;
    const answer = await put(document, index ? INDEX_TYPE : MANIFEST_TYPE);

    expect(answer.status).toBe(201);
  });

  it('layers that are missing are named, but not all of them', async () => {
    const layers = Array.from({ length: 25_000 }, (_, index) => ({
      ...CONFIG,
      digest: sha256(String(index)),
    }));
    const answer = await put({ ...IMAGE, layers });

    expect(refusalOf(answer)).toBe('400 MANIFEST_BLOB_UNKNOWN');
    expect(answer.body.length).toBeLessThan(64 * 1024);
  });

  it('100000 layers are too long for a manifest, and refused by their length', async () => {
    const answer = await put({ ...IMAGE, layers: many(100_000) });

    expect(refusalOf(answer)).toBe('413 MANIFEST_INVALID');
  });
});

function withUrls(urls: unknown): object {
  return { ...IMAGE, layers: [{ ...CONFIG, digest: sha256('elsewhere'), urls }] };
}

describe('CVE-2020-15157: URLs of layers', () => {
  test.each([
    ['file:///etc/passwd'],
    ['javascript:alert(1)'],
    ['http://user:password@example.com/'],
    ['//example.com/x'],
    ['/x'],
    ['gopher://127.0.0.1/'],
    [''],
    [1],
    [null],
  ])('%j is refused', async (url) => {
    expect(await expectRefused(withUrls([url]))).toBe('400 MANIFEST_INVALID');
  });

  it('of web servers are taken, and never asked', async () => {
    const asked: string[] = [];
    const { createServer } = await import('node:http');
    const other = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.end();
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const address = other.address();
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/layer`;

    const answer = await put(withUrls([url]));
    const pulled = await server.call(`/v2/json/blobs/${sha256('elsewhere')}`);
    other.close();

    expect([answer.status, pulled.status, asked]).toEqual([201, 404, []]);
  });
});

it('refuses a manifest whose digest is another one, and keeps nothing', async () => {
  const digest = sha256('something else');
  const answer = await putManifest(server, `/v2/json/manifests/${digest}`, JSON.stringify(IMAGE));

  expect(refusalOf(answer)).toBe('400 DIGEST_INVALID');
  expect((await server.call(`/v2/json/manifests/${digest}`)).status).toBe(404);
});

test.each(['text/plain', 'application/vnd.oci.image.config.v1+json', 'application/xml'])(
  'a Content-Type that is no manifest, %.40s, is refused',
  async (type) => {
    expect(await expectRefused(IMAGE, type)).toBe('415 MANIFEST_INVALID');
  },
);

test.each(['x', '/', ';', 'a/', '"', 'a'.repeat(2000)])(
  'the Content-Type %s that is none is refused',
  async (type) => {
    const answer = await put(IMAGE, type);

    expect([400, 415]).toContain(answer.status);
    expect(['MANIFEST_INVALID', 'UNSUPPORTED']).toContain(codeOf(answer));
  },
);

it('is as healthy as before', async () => {
  expect(await server.problems()).toEqual([]);
  expect(await server.metric('process_resident_memory_bytes')).toBeLessThan(500 * 2 ** 20);
});
