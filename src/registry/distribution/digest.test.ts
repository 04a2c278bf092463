import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { algorithmOf, hexOf, isDigest, parseDigest, parseDigestAlgorithm } from './digest.ts';

const HEX = fc.constantFrom(...'0123456789abcdef'.split(''));
const DIGESTS = fc.oneof(
  fc.string({ unit: HEX, minLength: 64, maxLength: 64 }).map((hex) => `sha256:${hex}`),
  fc.string({ unit: HEX, minLength: 128, maxLength: 128 }).map((hex) => `sha512:${hex}`),
);

test('takes every digest of a supported algorithm apart', () => {
  fc.assert(
    fc.property(DIGESTS, (text) => {
      const digest = parseDigest(text);

      expect(`${algorithmOf(digest)}:${hexOf(digest)}`).toBe(text);
    }),
  );
});

test('refuses a digest that has lost, gained or changed a character', () => {
  const damaged = fc.tuple(DIGESTS, fc.nat(), fc.constantFrom('', 'A', 'g', '/', '.', '00', '\n', ' '));
  fc.assert(
    fc.property(damaged, ([text, at, other]) => {
      const position = at % text.length;

      expect(isDigest(text.slice(0, position) + other + text.slice(position + 1))).toBe(false);
    }),
  );
});

test.each([
  '',
  'sha256',
  'sha256:',
  'sha256:baddigeststring',
  `SHA256:${'a'.repeat(64)}`,
  `sha256:${'A'.repeat(64)}`,
  `sha256:${'a'.repeat(128)}`,
  `sha512:${'a'.repeat(64)}`,
  `sha384:${'a'.repeat(96)}`,
  `../:${'a'.repeat(64)}`,
  `sha256:${'a'.repeat(64)}\n`,
])('refuses %j', (text) => {
  expect(() => parseDigest(text)).toThrow(expect.objectContaining({ code: 'DIGEST_INVALID', status: 400 }));
});

test('knows its algorithms by name', () => {
  expect(['sha256', 'sha512', 'sha384', 'constructor'].map(parseDigestAlgorithm)).toEqual([
    'sha256',
    'sha512',
    undefined,
    undefined,
  ]);
});
