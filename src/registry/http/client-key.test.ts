import { describe, expect, it } from 'vitest';

import { clientKey } from './client-key.ts';

describe('clientKey', () => {
  it.each([
    ['192.0.2.7', 'address:192.0.2.7'],
    ['::ffff:192.0.2.7', 'address:192.0.2.7'],
    ['::ffff:c000:207', 'address:192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', 'address:2001:db8:1:2'],
    ['2001:db8:1:2::', 'address:2001:db8:1:2'],
    ['2001:0DB8:0001:0002:ffff::1', 'address:2001:db8:1:2'],
    ['2001:db8::1', 'address:2001:db8:0:0'],
    ['fe80::1%eth0', 'address:fe80:0:0:0'],
    ['::1', 'address:0:0:0:0'],
    ['64:ff9b::192.0.2.7', 'address:64:ff9b:0:0'],
    ['', 'address:'],
    ['unknown', 'address:unknown'],
  ])('of the address %s is %s', (address, key) => {
    expect(clientKey(undefined, address)).toBe(key);
  });

  it('is the same in a whole /64, and another one beside it', () => {
    const keys = new Set(
      Array.from({ length: 200 }, (_, host) => clientKey(undefined, `2001:db8:0:${host % 2}::${host}`)),
    );

    expect(keys.size).toBe(2);
  });

  it('is the name of a user, wherever it comes from, and never that of an address', () => {
    expect(clientKey('ada', '192.0.2.7')).toBe(clientKey('ada', '::1'));
    expect(clientKey('192.0.2.7', '')).not.toBe(clientKey(undefined, '192.0.2.7'));
  });
});
