import { describe, expect, it, test } from 'vitest';

import type { DistributionError } from '../distribution/errors.ts';
import { MAX_PAGE, nextLink, parsePage } from './pagination.ts';

describe('parsePage', () => {
  test.each([
    ['', {}],
    ['n=0', { n: 0 }],
    ['n=5&last=v1', { n: 5, last: 'v1' }],
    ['last=', {}],
    [`n=${MAX_PAGE + 1}`, { n: MAX_PAGE }],
    ['n=2147483648', { n: MAX_PAGE }],
    ['n=9223372036854775808', { n: MAX_PAGE }],
  ])('reads ?%s', (query, page) => {
    expect(parsePage(new URLSearchParams(query))).toEqual(page);
  });

  test.each(['n=-1', 'n=abc', 'n=1e9', 'n=', 'n=1.5', 'n=0x10', `n=${'9'.repeat(41)}`])(
    'refuses ?%s',
    (query) => {
      expect(() => parsePage(new URLSearchParams(query))).toThrow(
        expect.objectContaining({ code: 'PAGINATION_NUMBER_INVALID' }) as DistributionError,
      );
    },
  );
});

describe('nextLink', () => {
  it('names the next page and keeps the other parameters', () => {
    const query = new URLSearchParams('n=2&last=a&ns=docker.io');

    const link = nextLink('/v2/x/tags/list', query, { n: 2, last: 'c&d' });

    expect(link).toBe('</v2/x/tags/list?n=2&last=c%26d&ns=docker.io>; rel="next"');
  });

  it('repeats nothing that no list knows', () => {
    const query = new URLSearchParams({ artifactType: 'a/b', other: 'x'.repeat(30_000) });

    expect(nextLink('/v2/x', query, { last: 'c' })).toBe('</v2/x?artifactType=a%2Fb&last=c>; rel="next"');
  });
});
