import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  isRepositoryName,
  isTag,
  isUploadId,
  parseReference,
  parseRepositoryName,
  parseTag,
  parseUploadId,
} from './reference.ts';

const WORD = fc.string({ unit: fc.constantFrom(...'abcz019'.split('')), minLength: 1, maxLength: 6 });
const SEPARATOR = fc.constantFrom('.', '_', '__', '-', '--', '-----');
const COMPONENT = fc
  .tuple(WORD, fc.array(fc.tuple(SEPARATOR, WORD), { maxLength: 3 }))
  .map(([first, more]) => first + more.flat().join(''));
const NAME = fc.array(COMPONENT, { minLength: 1, maxLength: 4 }).map((components) => components.join('/'));

describe('repository names', () => {
  test('follow the grammar of the specification', () => {
    fc.assert(
      fc.property(NAME, (name) => {
        expect(parseRepositoryName(name)).toBe(name);
      }),
    );
  });

  test('never make a path that leaves its folder or meets one of the registry', () => {
    const pieces = fc.constantFrom(
      'a',
      '.',
      '..',
      '/',
      '_',
      '__',
      '-',
      '%2f',
      '\\',
      '\0',
      'A',
      '_layers',
      ' ',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 8 }), (parts) => {
        const name = parts.join('');
        if (!isRepositoryName(name)) return;

        const components = name.split('/');
        expect(components.every((component) => /^[a-z0-9]/.test(component))).toBe(true);
        expect(components).not.toContain('..');
      }),
    );
  });

  test.each(['a', 'a/b/c', 'blobs/uploads', 'a/manifests/b', 'a'.repeat(255), 'a---b', 'a__b'])(
    'may be %s',
    (name) => {
      expect(isRepositoryName(name)).toBe(true);
    },
  );

  test.each(['', '/', 'a/', '/a', 'a//b', 'A', '..', 'a/../b', 'a___b', 'a..b', '-a', 'a-', '_catalog', 'é'])(
    'may not be %j',
    (name) => {
      expect(() => parseRepositoryName(name)).toThrow(expect.objectContaining({ code: 'NAME_INVALID' }));
    },
  );

  test('have at most 255 characters, and a longer one is refused at once', () => {
    const started = performance.now();

    expect(isRepositoryName('a'.repeat(256))).toBe(false);
    expect(isRepositoryName(`${'a-'.repeat(50_000)}!`)).toBe(false);
    expect(isRepositoryName(`${'a-'.repeat(120)}!`)).toBe(false);
    expect(performance.now() - started).toBeLessThan(100);
  });
});

describe('tags', () => {
  test.each(['latest', 'v1.0', '_', 'current', 'A'.repeat(128), '1', 'a..b'])('may be %s', (tag) => {
    expect(parseTag(tag)).toBe(tag);
  });

  test.each(['', '.', '..', '.a', '-a', 'a/b', 'a:b', 'A'.repeat(129), 'ä', 'a\n'])(
    'may not be %j',
    (tag) => {
      expect(() => parseTag(tag)).toThrow(expect.objectContaining({ code: 'TAG_INVALID' }));
    },
  );
});

test('a reference with a colon is a digest, and any other is a tag', () => {
  const digest = `sha256:${'0'.repeat(64)}`;

  expect(parseReference(digest)).toEqual({ kind: 'digest', digest });
  expect(parseReference('latest')).toEqual({ kind: 'tag', tag: 'latest' });
  expect(() => parseReference('sha256:bad')).toThrow(expect.objectContaining({ code: 'DIGEST_INVALID' }));
  expect(() => parseReference('.bad')).toThrow(expect.objectContaining({ code: 'TAG_INVALID' }));
});

test('an upload id is a UUID in lower case', () => {
  fc.assert(
    fc.property(fc.uuid(), (id) => {
      expect(isUploadId(id.toLowerCase())).toBe(true);
    }),
  );

  for (const id of [
    '',
    '..',
    'x',
    `${'a'.repeat(8)}-${'a'.repeat(27)}`,
    'AAAAAAAA-AAAA-AAAA-AAAA-AAAAAAAAAAAA',
  ]) {
    expect(() => parseUploadId(id)).toThrow(
      expect.objectContaining({ code: 'BLOB_UPLOAD_UNKNOWN', status: 404 }),
    );
  }
});

test('tags and repository names never hold a character that a key may not have', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      if (!isTag(text) && !isRepositoryName(text)) return;

      expect(text).toMatch(/^[A-Za-z0-9._/-]+$/);
    }),
  );
});
