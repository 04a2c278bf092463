import Fastify from 'fastify';
import { describe, expect, it, test } from 'vitest';

import { parseDigest } from '../distribution/digest.ts';
import { parseRepositoryName, parseUploadId } from '../distribution/reference.ts';
import { addWarning, matchesEtag, uploadHeaders } from './headers.ts';

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
    expect(uploadHeaders({ baseUrl: '' }, { ...upload, offset })['range']).toBe(range);
  });

  it('keeps the state in the path', () => {
    expect(uploadHeaders({ baseUrl: '' }, { ...upload, offset: 0 })['location']).toBe(
      '/v2/a/b/blobs/uploads/0b8a6b4e-58a1-4c9f-9f3a-6a2f2d3c4b5a',
    );
  });
});

describe('addWarning', () => {
  test.each([
    ['moved to b.example', '299 - "moved to b.example"'],
    [String.raw`say "a\b"`, String.raw`299 - "say \"a\\b\""`],
    ['two\r\nX-Evil: lines', '299 - "two??X-Evil: lines"'],
    ['grün 🌱', '299 - "gr?n ?"'],
  ])('sends %j', async (text, expected) => {
    expect(await warningsOf([text])).toEqual([expected]);
  });

  it('sends several as several headers', async () => {
    expect(await warningsOf(['one', 'two'])).toEqual(['299 - "one"', '299 - "two"']);
  });

  it('leaves out what goes beyond 4096 bytes', async () => {
    const long = 'x'.repeat(4000);
    expect(await warningsOf(['one', long, long, 'two'])).toEqual([
      '299 - "one"',
      `299 - "${long}"`,
      '299 - "two"',
    ]);
  });
});

/** The Warning headers of an answer to which these texts were added. */
async function warningsOf(texts: readonly string[]): Promise<unknown> {
  const app = Fastify();
  app.get('/', async (_request, reply) => {
    for (const text of texts) addWarning({ reply }, text);
    return {};
  });
  const { headers } = await app.inject('/');
  return headers['warning'];
}
