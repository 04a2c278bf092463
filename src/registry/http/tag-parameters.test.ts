import { expect, test } from 'vitest';

import { DistributionError } from '../distribution/errors.ts';
import { parseReference } from '../distribution/reference.ts';
import { MAX_TAG_PARAMETERS, parseTagParameters } from './tag-parameters.ts';

const BY_DIGEST = parseReference(`sha512:${'a'.repeat(128)}`);

function tagsOf(query: string, reference = BY_DIGEST): unknown {
  try {
    return parseTagParameters(new URLSearchParams(query), reference);
  } catch (error) {
    if (!(error instanceof DistributionError)) throw error;
    return `${error.status} ${error.code} ${error.message}`;
  }
}

function many(count: number): string {
  return Array.from({ length: count }, (_, index) => `tag=v${index}`).join('&');
}

test('are taken in their order, each once', () => {
  expect(tagsOf('tag=b&tag=a&x=1&tag=b')).toEqual(['b', 'a']);
  expect(tagsOf('x=1')).toEqual([]);
  expect(tagsOf('', parseReference('latest'))).toEqual([]);
});

test('are refused when one is no tag, which is named', () => {
  expect(tagsOf('tag=a&tag=-b&tag=c')).toBe('400 TAG_INVALID invalid tag "-b" in the query');
  expect(tagsOf('tag=a,b')).toBe('400 TAG_INVALID invalid tag "a,b" in the query');
  expect(tagsOf('tag=')).toBe('400 TAG_INVALID invalid tag "" in the query');
  expect(tagsOf(`tag=${'x'.repeat(5000)}`)).toHaveLength(
    '400 TAG_INVALID invalid tag "" in the query'.length + 128,
  );
});

test('are refused for a push by tag', () => {
  expect(tagsOf('tag=a', parseReference('latest'))).toMatch(/^400 TAG_INVALID the parameter tag is only for/);
});

test('are refused beyond their bound, repetitions not counted', () => {
  expect(tagsOf(many(MAX_TAG_PARAMETERS))).toHaveLength(64);
  expect(tagsOf(`${many(MAX_TAG_PARAMETERS)}&tag=v0`)).toHaveLength(64);
  expect(tagsOf(many(65))).toBe('414 TAG_INVALID at most 64 tags can be given in one request, not 65');
});
