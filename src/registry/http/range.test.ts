import { assert, bigInt, nat, option, property } from 'fast-check';
import { describe, expect, it, test } from 'vitest';

import { parseContentRange, parseRange } from './range.ts';

describe('parseRange', () => {
  test.each([
    ['bytes=500-1499', 2048, { start: 500, end: 1499 }],
    ['bytes=500-', 2048, { start: 500, end: 2047 }],
    ['bytes=-500', 2048, { start: 1548, end: 2047 }],
    ['bytes=2000-5000', 2048, { start: 2000, end: 2047 }],
    ['bytes=-5000', 2048, { start: 0, end: 2047 }],
    ['bytes=0-0', 1, { start: 0, end: 0 }],
    ['bytes=500-0', 2048, 'unsatisfiable'],
    ['bytes=5000-10000', 2048, 'unsatisfiable'],
    ['bytes=2048-', 2048, 'unsatisfiable'],
    ['bytes=-0', 2048, 'unsatisfiable'],
    ['bytes=0-', 0, 'unsatisfiable'],
    ['bytes=-1', 0, 'unsatisfiable'],
    ['bytes=0-1,3-4', 2048, undefined],
    ['bytes=-', 2048, undefined],
    ['lines=1-2', 2048, undefined],
    ['bytes=a-b', 2048, undefined],
    [undefined, 2048, undefined],
  ])('reads %s of %i bytes', (header, size, expected) => {
    expect(parseRange(header, size)).toEqual(expected);
  });

  it('never leaves the object', () => {
    const number = option(bigInt({ min: 0n, max: 2n ** 70n }), { nil: undefined });
    assert(
      property(number, number, nat({ max: 5000 }), (first, last, size) => {
        const range = parseRange(`bytes=${first ?? ''}-${last ?? ''}`, size);
        if (range === undefined || range === 'unsatisfiable') return;
        expect(range.start).toBeGreaterThanOrEqual(0);
        expect(range.end).toBeGreaterThanOrEqual(range.start);
        expect(range.end).toBeLessThan(size);
      }),
    );
  });
});

describe('parseContentRange', () => {
  test.each([
    ['0-99', { start: 0, end: 99 }],
    ['bytes 100-199/200', { start: 100, end: 199 }],
    ['bytes 100-199/*', { start: 100, end: 199 }],
    ['100-', 'invalid'],
    ['99-0', 'invalid'],
    ['-5', 'invalid'],
    ['0-99999999999999999999', 'invalid'],
    ['', 'invalid'],
    [undefined, undefined],
  ])('reads %s', (header, expected) => {
    expect(parseContentRange(header)).toEqual(expected);
  });
});
