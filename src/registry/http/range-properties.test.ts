import { array, assert, bigInt, constantFrom, nat, oneof, option, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';

import { parseContentRange } from './range.ts';

describe('Content-Range', () => {
  const number = oneof(nat().map(BigInt), bigInt({ min: 0n, max: 2n ** 80n }));

  it('is read in both forms, and only with numbers that are exact', () => {
    const total = option(oneof(number.map(String), constantFrom('*')), { nil: undefined });
    assert(
      property(number, number, constantFrom('', 'bytes ', 'Bytes  '), total, (start, end, unit, size) => {
        const header = `${unit}${start}-${end}${size === undefined ? '' : `/${size}`}`;
        const exact = start <= end && end <= BigInt(Number.MAX_SAFE_INTEGER);

        expect(parseContentRange(header)).toEqual(
          exact ? { start: Number(start), end: Number(end) } : 'invalid',
        );
      }),
      { numRuns: 500 },
    );
  });

  it('is never anything but two numbers in order, whatever a client sends', () => {
    const piece = oneof(
      constantFrom('bytes', ' ', '-', '/', '*', '0', '17', '9007199254740993', '+', ','),
      string(),
    );
    assert(
      property(array(piece, { maxLength: 8 }), (pieces) => {
        const range = parseContentRange(pieces.join(''));
        const { start, end } = typeof range === 'object' ? range : { start: 0, end: 0 };

        expect(range).toBeDefined();
        expect(start >= 0 && end >= start && Number.isSafeInteger(end)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });
});
