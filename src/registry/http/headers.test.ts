import { describe, expect, it, test } from 'vitest';

import { parseDigest } from '../distribution/digest.ts';
import { parseRepositoryName, parseUploadId } from '../distribution/reference.ts';
import { matchesEtag, uploadHeaders } from './headers.ts';

const DIGEST = parseDigest(`sha256:${'a'.repeat(64)}`);
const OTHER = `sha256:${'b'.repeat(64)}`;

describe('matchesEtag', () => {
  test.each([
    [`"${DIGEST}"`, true],
    [`W/"${DIGEST}"`, true],
    [DIGEST, true],
    [`"${OTHER}", "${DIGEST}"`, true],
    ['*', true],
    [`"${OTHER}"`, false],
    ['', false],
    [undefined, false],
  ])('%s', (header, expected) => {
    expect(matchesEtag(header, DIGEST)).toBe(expected);
  });
});

describe('uploadHeaders', () => {
  const upload = {
    repository: parseRepositoryName('a/b'),
    id: parseUploadId('0b8a6b4e-58a1-4c9f-9f3a-6a2f2d3c4b5a'),
  };

  test.each([
    [0, '0-0'],
    [1, '0-0'],
    [1024, '0-1023'],
  ])('tells the range of %i bytes', (offset, range) => {
    expect(uploadHeaders({ ...upload, offset })['range']).toBe(range);
  });

  it('keeps the state in the path', () => {
    expect(uploadHeaders({ ...upload, offset: 0 })['location']).toBe(
      '/v2/a/b/blobs/uploads/0b8a6b4e-58a1-4c9f-9f3a-6a2f2d3c4b5a',
    );
  });
});
