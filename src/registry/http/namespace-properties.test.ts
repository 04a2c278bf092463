import { assert, constantFrom, domain, nat, oneof, option, property, string, tuple } from 'fast-check';
import { describe, expect, it } from 'vitest';

import { normalizeHost } from './namespace.ts';

/** Any UTF-16 code unit: halves of characters as well. */
const CHARACTER = nat({ max: 0xff_ff }).map((code) => String.fromCharCode(code));

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
      property(string({ unit: CHARACTER }), (text) => {
        expect(normalizeHost(text).length).toBeLessThanOrEqual(text.length + 3);
      }),
    );
  });
});
