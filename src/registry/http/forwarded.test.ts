import { BlockList } from 'node:net';

import { array, assert, constantFrom, property, string } from 'fast-check';
import { describe, expect, it, test } from 'vitest';

import { originOf } from './forwarded.ts';

const PROXY = '10.0.0.1';
const trusted = new BlockList();
trusted.addSubnet('10.0.0.0', 8, 'ipv4');
trusted.addSubnet('fd00::', 8, 'ipv6');

describe('a peer that is no trusted proxy', () => {
  it('is the client whatever it sends', () => {
    const headers = {
      forwarded: 'for=192.0.2.1;host=evil.example',
      'x-forwarded-for': '192.0.2.1',
      'x-forwarded-host': 'evil.example',
    };

    expect(originOf('198.51.100.7', headers, trusted)).toEqual({ client: '198.51.100.7', host: undefined });
  });

  test.each([
    ['::ffff:198.51.100.7', '198.51.100.7'],
    ['2001:DB8:0::7', '2001:db8::7'],
    ['', ''],
  ])('is named in one spelling: %j', (peer, client) => {
    expect(originOf(peer, {}, trusted).client).toBe(client);
  });
});

describe('X-Forwarded-For', () => {
  test.each([
    ['198.51.100.7', '198.51.100.7'],
    ['192.0.2.66, 198.51.100.7', '198.51.100.7'],
    ['198.51.100.7, 10.9.9.9', '198.51.100.7'],
    ['192.0.2.66,198.51.100.7,10.9.9.9,fd00::2', '198.51.100.7'],
    ['198.51.100.7,, ,10.9.9.9', '198.51.100.7'],
    ['10.1.1.1, 10.2.2.2', '10.1.1.1'],
    ['198.51.100.7:4711', '198.51.100.7'],
    ['2001:db8::7', '2001:db8::7'],
    ['[2001:DB8::7]:4711', '2001:db8::7'],
    ['[2001:db8::7]', '2001:db8::7'],
    ['::ffff:198.51.100.7, ::ffff:10.9.9.9', '198.51.100.7'],
    ['", 198.51.100.7', '198.51.100.7'],
    ['', PROXY],
    ['unknown', PROXY],
    ['198.51.100.7, unknown', PROXY],
    ['198.51.100.7, 010.1.1.1', PROXY],
    ['198.51.100.300', PROXY],
    ['[198.51.100.7]', PROXY],
    ['198.51.100.7:99999999', PROXY],
  ])('%j names %s', (header, client) => {
    expect(originOf(PROXY, { 'x-forwarded-for': header }, trusted).client).toBe(client);
  });

  it('counts from a proxy of IPv4 on a socket of IPv6', () => {
    const headers = { 'x-forwarded-for': '198.51.100.7' };

    expect(originOf('::ffff:10.0.0.1', headers, trusted).client).toBe('198.51.100.7');
  });

  it('is followed through 32 proxies and no more', () => {
    const proxies = Array.from({ length: 40 }, (_, n) => `10.0.1.${n}`);

    const { client } = originOf(PROXY, { 'x-forwarded-for': proxies.join(', ') }, trusted);

    expect(client).toBe('10.0.1.8');
  });
});

describe('X-Forwarded-Host', () => {
  test.each([
    [undefined, 'registry.example.com', 'registry.example.com'],
    ['198.51.100.7', 'registry.example.com:8443', 'registry.example.com:8443'],
    ['198.51.100.7', 'evil.example, registry.example.com', 'registry.example.com'],
    ['198.51.100.7, 10.9.9.9', 'registry.example.com, inner', 'registry.example.com'],
    ['198.51.100.7, 10.9.9.9', 'registry.example.com', 'registry.example.com'],
    ['198.51.100.7', '[2001:db8::1]:5000', '[2001:db8::1]:5000'],
    ['198.51.100.7', 'a b', undefined],
    ['198.51.100.7', 'a/b', undefined],
    ['198.51.100.7', 'x'.repeat(261), undefined],
  ])('with addresses %j: %j is %j', (addresses, header, host) => {
    const headers = {
      ...(addresses === undefined ? {} : { 'x-forwarded-for': addresses }),
      'x-forwarded-host': header,
    };

    expect(originOf(PROXY, headers, trusted).host).toBe(host);
  });
});

describe('Forwarded', () => {
  test.each([
    ['for=198.51.100.7', '198.51.100.7', undefined],
    ['For="198.51.100.7:80";Host=registry.example.com;proto=https', '198.51.100.7', 'registry.example.com'],
    [
      'for="[2001:db8::7]:4711"; host="registry.example.com:8443"',
      '2001:db8::7',
      'registry.example.com:8443',
    ],
    ['for=192.0.2.66;host=evil, for=198.51.100.7;host=r.example, for=10.9.9.9', '198.51.100.7', 'r.example'],
    ['for=198.51.100.7;host=r.example, for=10.9.9.9;host=inner', '198.51.100.7', 'r.example'],
    ['for="198.51.100.\\7"', '198.51.100.7', undefined],
    ['for="', PROXY, undefined],
    ['", for=198.51.100.7;host=r.example', '198.51.100.7', 'r.example'],
    ['for="a\\", for=198.51.100.7', '198.51.100.7', undefined],
    ['host=r.example', PROXY, 'r.example'],
    ['for=unknown;host=r.example', PROXY, 'r.example'],
    ['for=_hidden', PROXY, undefined],
    ['for=198.51.100.7;for=192.0.2.66', PROXY, undefined],
    ['for=198.51.100.7 host=r.example', PROXY, undefined],
    ['for=198.51.100.7;host="r.example\\"\\""', '198.51.100.7', undefined],
    ['', PROXY, undefined],
  ])('%j', (header, client, host) => {
    expect(originOf(PROXY, { forwarded: header }, trusted)).toEqual({ client, host });
  });

  it('counts together with X-Forwarded-For only when both name the same client', () => {
    const forwarded = 'for=198.51.100.7;host=r.example';

    const same = originOf(PROXY, { forwarded, 'x-forwarded-for': '198.51.100.7' }, trusted);
    const other = originOf(PROXY, { forwarded, 'x-forwarded-for': '198.51.100.8' }, trusted);

    expect(same).toEqual({ client: '198.51.100.7', host: 'r.example' });
    expect(other).toEqual({ client: PROXY, host: undefined });
  });
});

it('names what the nearest proxy has added, whatever the client has put before', () => {
  const piece = constantFrom(',', '"', '\\', ';', '=', ' ', 'for=', 'host=', '192.0.2.66', '10.0.0.2', 'x');
  const junk = array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));
  assert(
    property(junk, string(), (text, other) => {
      for (const before of [text, other]) {
        const forwarded = { forwarded: `${before}, for=198.51.100.7;host=r.example` };
        const common = { 'x-forwarded-for': `${before}, 198.51.100.7` };
        expect(originOf(PROXY, forwarded, trusted)).toEqual({ client: '198.51.100.7', host: 'r.example' });
        expect(originOf(PROXY, common, trusted).client).toBe('198.51.100.7');
      }
    }),
  );
});

it('reads a header of the greatest length in no time', () => {
  const hostile = [
    '"\\'.repeat(500_000),
    '\\'.repeat(1_000_000),
    ','.repeat(1_000_000),
    `${'a=b;'.repeat(250_000)}x`,
  ];
  const start = performance.now();

  for (const header of hostile) {
    originOf(PROXY, { forwarded: header, 'x-forwarded-for': header, 'x-forwarded-host': header }, trusted);
  }

  expect(performance.now() - start).toBeLessThan(5000);
});
