import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { DistributionError } from './errors.ts';
import { parseManifest, storedMediaType } from './manifest-parser.ts';
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  MANIFEST_MEDIA_TYPES,
  OCI_INDEX,
  OCI_MANIFEST,
} from './media-types.ts';
import { digestOf } from './testing.ts';

const DIGEST = digestOf('x');
const LAYER = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: DIGEST, size: 1 };
const CHILD = { mediaType: OCI_MANIFEST, digest: DIGEST, size: 1 };
const IMAGE = { schemaVersion: 2, config: LAYER, layers: [LAYER] };
const INDEX = { schemaVersion: 2, manifests: [CHILD] };

const DOCUMENTS = {
  [OCI_MANIFEST]: IMAGE,
  [DOCKER_MANIFEST]: { ...IMAGE, mediaType: DOCKER_MANIFEST },
  [OCI_INDEX]: INDEX,
  [DOCKER_LIST]: { ...INDEX, mediaType: DOCKER_LIST },
};

function bytesOf(document: unknown): Uint8Array {
  return Buffer.from(typeof document === 'string' ? document : JSON.stringify(document));
}

function refusalOf(document: unknown, contentType?: string): string {
  try {
    parseManifest(bytesOf(document), contentType);
    return 'accepted';
  } catch (error) {
    if (!(error instanceof DistributionError)) throw error;
    return `${error.status} ${error.message}`;
  }
}

describe.each(MANIFEST_MEDIA_TYPES)('%s', (type) => {
  const document = DOCUMENTS[type];

  test('is taken, with and without parameters of the Content-Type', () => {
    expect(parseManifest(bytesOf(document), type).mediaType).toBe(type);
    expect(parseManifest(bytesOf(document), `${type.toUpperCase()}; charset=utf-8`).mediaType).toBe(type);
  });

  test('is recognised when the Content-Type says nothing, and when it is stored', () => {
    for (const contentType of [undefined, '', 'application/json']) {
      expect(parseManifest(bytesOf(document), contentType).mediaType).toBe(type);
    }
    expect(storedMediaType(bytesOf(document))).toBe(type);
  });

  test('is refused under each other type', () => {
    const own = { ...document, mediaType: type };
    for (const other of MANIFEST_MEDIA_TYPES.filter((candidate) => candidate !== type)) {
      expect(refusalOf(own, other)).toMatch(/^400 manifest invalid: mediaType/);
    }
  });
});

test('an image tells what it needs, and what it is about', () => {
  const subject = { ...CHILD, digest: digestOf('subject') };

  const { content } = parseManifest(bytesOf({ ...IMAGE, subject }), OCI_MANIFEST);

  expect(content).toEqual({
    kind: 'image',
    config: { ...LAYER, urls: [] },
    layers: [{ ...LAYER, urls: [] }],
    subject: subject.digest,
  });
});

test.each([
  ['two things at once', { ...IMAGE, manifests: [] }, OCI_MANIFEST, /^400 .*manifests: does not belong/],
  ['two things at once', { ...INDEX, layers: [] }, OCI_INDEX, /^400 .*layers: does not belong/],
  ['two things at once', { ...INDEX, config: {} }, OCI_INDEX, /^400 .*config: does not belong/],
  ['a name in another case', { ...IMAGE, Manifests: [] }, OCI_MANIFEST, /^400 .*must be spelt manifests/],
  ['a Docker image without its type', IMAGE, DOCKER_MANIFEST, /^400 .*mediaType: must be/],
  ['a foreign Content-Type', IMAGE, 'text/plain', /^415 manifest type "text\/plain" is not supported/],
  ['a foreign mediaType', { ...IMAGE, mediaType: 'a/b' }, undefined, /^415 /],
  [
    'a mediaType that is no text',
    { ...IMAGE, mediaType: 1 },
    undefined,
    /^400 .*mediaType: must be a string/,
  ],
  [
    'schema 1',
    { schemaVersion: 1, fsLayers: [] },
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
    /^415 .*schema 1 is not supported/,
  ],
  ['schema 1 under another type', { schemaVersion: 1 }, DOCKER_MANIFEST, /^415 .*schema 1/],
  ['no version', { config: LAYER, layers: [] }, OCI_MANIFEST, /^400 .*schemaVersion: must be 2/],
  ['no layers', { schemaVersion: 2, config: LAYER }, OCI_MANIFEST, /^400 .*layers: must be a list/],
  ['no config', { schemaVersion: 2, layers: [] }, OCI_MANIFEST, /^400 .*config: must be an object/],
  ['no children', { schemaVersion: 2 }, OCI_INDEX, /^400 .*manifests: must be a list/],
  ['a bad subject', { ...IMAGE, subject: 'x' }, OCI_MANIFEST, /^400 .*subject: must be an object/],
  [
    'annotations that are a list',
    { ...IMAGE, annotations: [] },
    OCI_MANIFEST,
    /^400 .*annotations: must be an/,
  ],
  [
    'an annotation that is no text',
    { ...INDEX, annotations: { a: 'b', 'x"y': 1 } },
    OCI_INDEX,
    /^400 .*annotations\["x\\"y"\]: must be a string/,
  ],
  [
    'an artifact type that is no text',
    { ...IMAGE, artifactType: 7 },
    OCI_MANIFEST,
    /^400 .*artifactType: must be/,
  ],
  ['a list', [], OCI_MANIFEST, /^400 .*manifest: must be an object/],
  ['nothing', '', OCI_MANIFEST, /^400 .*not JSON/],
  ['a byte order mark', `\uFEFF${JSON.stringify(IMAGE)}`, OCI_MANIFEST, /^400 .*not JSON/],
  ['half a document', '{"schemaVersion":2', OCI_MANIFEST, /^400 .*not JSON/],
  ['a deep document', `{"a":${'['.repeat(9_999)}`, OCI_MANIFEST, /^400 .*nested deeper/],
])('refuses %s', (_, document, contentType, expected) => {
  expect(refusalOf(document, contentType)).toMatch(expected);
});

test.each([
  [{ size: -1 }, 'size'],
  [{ size: 1.5 }, 'size'],
  [{ size: '1' }, 'size'],
  [{ size: 9_007_199_254_740_992 }, 'size'],
  [{ size: undefined }, 'size'],
  [{ digest: 'sha256:bad' }, 'digest'],
  [{ digest: `sha384:${'a'.repeat(96)}` }, 'digest'],
  [{ digest: ['x'] }, 'digest'],
  [{ mediaType: '' }, 'mediaType'],
  [{ mediaType: 'a b/c' }, 'mediaType'],
  [{ mediaType: undefined }, 'mediaType'],
  [{ annotations: { a: null } }, 'annotations["a"]'],
  [{ annotations: 'x' }, 'annotations'],
  [{ Digest: DIGEST }, 'Digest'],
  [{ DATA: 'eA==' }, 'DATA'],
  [{ data: 7 }, 'data'],
  [{ data: 'eA' }, 'data'],
  [{ data: 'e A==' }, 'data'],
  [{ data: 'eA==\n' }, 'data'],
  [{ data: 'eHg=' }, 'data'],
  [{ data: 'eQ==' }, 'data'],
  [{ size: 9e18 }, 'size'],
  [{ urls: 'http://a' }, 'urls'],
  [{ urls: ['ftp://a/b'] }, 'urls[0]'],
  [{ urls: ['http://user:password@a/b'] }, 'urls[0]'],
  [{ urls: ['http://a', 7] }, 'urls[1]'],
])('refuses a layer with %j, and names the member', (change, member) => {
  const document = { ...IMAGE, layers: [LAYER, { ...LAYER, ...change }] };

  expect(refusalOf(document, OCI_MANIFEST)).toContain(`400 manifest invalid: layers[1].${member}: `);
});

test('takes content that a descriptor holds, when it is that content', () => {
  for (const algorithm of ['sha256', 'sha512'] as const) {
    const data = { ...LAYER, digest: digestOf('x', algorithm), data: 'eA==' };
    expect(refusalOf({ ...IMAGE, config: data, layers: [data], subject: data }, OCI_MANIFEST)).toBe(
      'accepted',
    );
  }
  const empty = { ...LAYER, digest: digestOf(''), size: 0, data: '' };
  expect(refusalOf({ ...IMAGE, layers: [empty, { ...LAYER, data: null }] }, OCI_MANIFEST)).toBe('accepted');
});

test('reads a hundred thousand layers or children in good time', () => {
  const many = Array.from({ length: 25_000 }, () => LAYER);
  const started = performance.now();

  expect(refusalOf({ ...IMAGE, layers: many }, OCI_MANIFEST)).toBe('accepted');
  expect(refusalOf({ ...INDEX, manifests: [...many, ...many, ...many, ...many] }, OCI_INDEX)).toBe(
    'accepted',
  );
  expect(performance.now() - started).toBeLessThan(5000);
});

test('takes numbers and spellings that are legal, if unusual', () => {
  const text = JSON.stringify(IMAGE).replaceAll('"size":1', '"size":1e3');

  expect(refusalOf(text, OCI_MANIFEST)).toBe('accepted');
  expect(refusalOf({ ...IMAGE, mediaType: null, subject: null }, OCI_MANIFEST)).toBe('accepted');
  expect(refusalOf({ ...IMAGE, layers: [] }, OCI_MANIFEST)).toBe('accepted');
  expect(refusalOf({ ...IMAGE, annotations: { '\uD800': '\uDC00' }, 'org.example': [1] }, OCI_MANIFEST)).toBe(
    'accepted',
  );
});

test('refuses bytes that are no UTF-8', () => {
  const bytes = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);

  expect(() => parseManifest(bytes, OCI_MANIFEST)).toThrow(/not UTF-8/);
});

test('a __proto__ member changes nothing', () => {
  const text = `{"__proto__":{"config":1,"manifests":[]},${JSON.stringify(IMAGE).slice(1)}`;

  expect(refusalOf(text, OCI_MANIFEST)).toBe('accepted');
  expect(Object.hasOwn(Object.prototype, 'manifests')).toBe(false);
});

test('either parses or refuses with its own error, whatever the bytes', () => {
  const member = fc.constantFrom(
    'schemaVersion',
    'mediaType',
    'config',
    'layers',
    'manifests',
    'subject',
    'x',
  );
  const value = fc.oneof(
    fc.constantFrom<unknown>(2, 1, null, LAYER, [LAYER], [], {}, OCI_MANIFEST, DOCKER_LIST, [null], 'x'),
    fc.jsonValue(),
  );
  const documents = fc.oneof(fc.dictionary(member, value), fc.jsonValue(), fc.string());
  const contentTypes = fc.constantFrom<string | undefined>(...MANIFEST_MEDIA_TYPES, undefined, 'text/html');
  fc.assert(
    fc.property(documents, contentTypes, (document, contentType) => {
      const outcome = refusalOf(document, contentType);

      expect(outcome).toMatch(/^(?:accepted$|400 manifest invalid: |415 )/);
      if (outcome !== 'accepted') return;
      const parsed = parseManifest(bytesOf(document), contentType);
      expect(storedMediaType(bytesOf(document))).toBe(parsed.mediaType);
    }),
    { numRuns: 500 },
  );
});
