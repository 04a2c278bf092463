import { array, assert, bigInt, constantFrom, nat, oneof, option, property, tuple } from 'fast-check';
import { describe, expect, it, test } from 'vitest';

import { parseContentRange, parseRanges } from './range.ts';

describe('parseRanges', () => {
  test.each([
    ['bytes=500-1499', 2048, [[500, 1499]]],
    ['Bytes=500-1499', 2048, [[500, 1499]]],
    ['bytes=500-', 2048, [[500, 2047]]],
    ['bytes=-500', 2048, [[1548, 2047]]],
    ['bytes=2000-5000', 2048, [[2000, 2047]]],
    ['bytes=-5000', 2048, [[0, 2047]]],
    ['bytes=0-0', 1, [[0, 0]]],
    ['bytes=500-0', 2048, 'unsatisfiable'],
    ['bytes=5000-10000', 2048, 'unsatisfiable'],
    ['bytes=2048-', 2048, 'unsatisfiable'],
    ['bytes=-0', 2048, 'unsatisfiable'],
    ['bytes=0-', 0, 'unsatisfiable'],
    ['bytes=-1', 0, 'unsatisfiable'],
    ['bytes=9999999999999999999999-', 2048, 'unsatisfiable'],
    ['bytes=0-9999999999999999999999', 2048, [[0, 2047]]],
    ['bytes=-', 2048, undefined],
    ['bytes=', 2048, undefined],
    ['bytes=,', 2048, undefined],
    ['bytes', 2048, undefined],
    ['bytes =0-1', 2048, undefined],
    ['bytes=0 - 1', 2048, undefined],
    ['bytes=0-1-2', 2048, undefined],
    ['bytes=+0-1', 2048, undefined],
    ['bytes=0x0-0x1', 2048, undefined],
    ['lines=1-2', 2048, undefined],
    ['bytes=a-b', 2048, undefined],
    [undefined, 2048, undefined],
  ])('reads %s of %i bytes', (header, size, expected) => {
    expect(pairs(parseRanges(header, size))).toEqual(expected);
  });

  test.each([
    [
      'bytes=0-1,3-4',
      [
        [0, 1],
        [3, 4],
      ],
    ],
    [
      'bytes= 0-1\t, 3-4 ,,',
      [
        [0, 1],
        [3, 4],
      ],
    ],
    [
      'bytes=3-4,0-1',
      [
        [3, 4],
        [0, 1],
      ],
    ],
    ['bytes=0-1,2-3', [[0, 3]]],
    [
      'bytes=0-5,3-8,20-',
      [
        [0, 8],
        [20, 99],
      ],
    ],
    [
      'bytes=50-60,0-1,55-70,1-2',
      [
        [50, 70],
        [0, 2],
      ],
    ],
    [
      'bytes=0-0,-1',
      [
        [0, 0],
        [99, 99],
      ],
    ],
    ['bytes=0-,0-,0-,-100', [[0, 99]]],
    ['bytes=0-1,500-600', [[0, 1]]],
    ['bytes=200-,9-8', 'unsatisfiable'],
    ['bytes=0-1,x', undefined],
    [`bytes=${'0-0,'.repeat(16)}`, [[0, 0]]],
    [`bytes=${'0-0,'.repeat(17)}`, undefined],
    [`bytes=0-0${','.repeat(100)}5-5`, undefined],
  ])('reads %s of 100 bytes', (header, expected) => {
    expect(pairs(parseRanges(header, 100))).toEqual(expected);
  });

  const number = option(bigInt({ min: 0n, max: 2n ** 70n }), { nil: undefined });
  const small = option(bigInt({ min: 0n, max: 200n }), { nil: undefined });
  const member = oneof(tuple(small, small), tuple(number, number));
  const members = array(member, { minLength: 1, maxLength: 20 });

  it('sends every byte that was asked for once, and no other', () => {
    assert(
      property(members, nat({ max: 150 }), (asked, size) => {
        const header = `bytes=${asked.map(([first, last]) => `${first ?? ''}-${last ?? ''}`).join(', ')}`;
        const isIgnored = asked.length > 16 || asked.some(([first, last]) => (first ?? last) === undefined);

        const ranges = parseRanges(header, size);

        expect(sentBytes(ranges)).toEqual(isIgnored ? undefined : bytesOf(asked, size));
      }),
    );
  });

  it('reads whatever a client sends', () => {
    const text = array(constantFrom('bytes=', ',', '-', ' ', '\t', '0', '17', '99', 'x', '"'), {
      maxLength: 60,
    });
    assert(
      property(text, nat({ max: 150 }), (pieces, size) => {
        const ranges = parseRanges(pieces.join(''), size);
        if (ranges === undefined || ranges === 'unsatisfiable') return;
        expect(ranges.length).toBeGreaterThan(0);
        expect(ranges.length).toBeLessThanOrEqual(16);
        for (const { start, end } of ranges) expect(0 <= start && start <= end && end < size).toBe(true);
      }),
    );
  });
});

/** The bytes that RFC 9110 §14.1.2 means by these ranges, one by one. */
function bytesOf(asked: readonly (readonly (bigint | undefined)[])[], size: number): number[] {
  const wanted = asked.flatMap(([first, last]) => {
    if (first !== undefined) {
      const end = last === undefined || last >= BigInt(size) ? size - 1 : Number(last);
      return first > BigInt(end) ? [] : span(Number(first), end);
    }
    return last === undefined ? [] : span(last >= BigInt(size) ? 0 : size - Number(last), size - 1);
  });
  return [...new Set(wanted)].toSorted((a, b) => a - b);
}

/** The bytes of an answer, one by one and as often as they are sent; undefined for the whole object. */
function sentBytes(ranges: ReturnType<typeof parseRanges>): number[] | undefined {
  if (ranges === 'unsatisfiable') return [];
  return ranges?.flatMap(({ start, end }) => span(start, end)).toSorted((a, b) => a - b);
}

function span(start: number, end: number): number[] {
  return Array.from({ length: end - start + 1 }, (_, index) => start + index);
}

function pairs(ranges: ReturnType<typeof parseRanges>): unknown {
  return typeof ranges === 'object' ? ranges.map(({ start, end }) => [start, end]) : ranges;
}

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
