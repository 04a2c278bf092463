import { describe, expect, test } from 'vitest';

import {
  isRepositoryName,
  isUploadId,
  parseReference,
  parseRepositoryName,
  parseTag,
  parseUploadId,
} from './reference.ts';

describe('repository names', () => {
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
  expect(isUploadId('0f8fad5b-d9cb-469f-a165-70867728950e')).toBe(true);
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
