import {
  array,
  assert,
  bigInt,
  constantFrom,
  domain,
  nat,
  oneof,
  option,
  property,
  string,
  tuple,
} from 'fast-check';
import { describe, expect, it } from 'vitest';

import { normalizeHost } from './namespace.ts';
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

interface Address {
  readonly name: string;
  readonly number: number | undefined;
}

function written({ name, number }: Address, dot = ''): string {
  return `${name}${dot}${number === undefined ? '' : `:${number}`}`;
}

/** Which port is meant: that of http and that of https are as good as none. */
function portOf({ number }: Address): number {
  return number === undefined || number === 443 ? 80 : number;
}

describe('the names of a registry', () => {
  const port = option(nat({ max: 65_535 }), { nil: undefined });
  const host = oneof(domain(), constantFrom('localhost', '127.0.0.1', '[::1]', 'a'));
  const address = tuple(host, port).map(([name, number]) => ({ name, number }));
  it('are the same in any case, with a dot at the end, with the usual port, and twice', () => {
    assert(
      property(address, (host_) => {
        const plain = normalizeHost(written(host_));
        const dotted = host_.name.startsWith('[') ? '' : '.';

        expect(normalizeHost(plain)).toBe(plain);
        expect(normalizeHost(written(host_).toUpperCase())).toBe(plain);
        expect(normalizeHost(written(host_, dotted))).toBe(plain);
        expect(normalizeHost(` ${written(host_)}\t`)).toBe(plain);
      }),
    );
  });

  it('differ when host or port differ', () => {
    assert(
      property(address, address, (left, right) => {
        const same = left.name.toLowerCase() === right.name.toLowerCase() && portOf(left) === portOf(right);

        expect(normalizeHost(written(left)) === normalizeHost(written(right))).toBe(same);
      }),
    );
  });

  it('are text for any text', () => {
    assert(
      property(string({ unit: 'binary' }), (text) => {
        expect(normalizeHost(text).length).toBeLessThanOrEqual(text.length + 3);
      }),
    );
  });
});
