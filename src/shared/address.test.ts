import { expect, test } from 'vitest';

import { formatAddress, isLoopback, parseAddress } from './address.ts';

test.each([
  ['127.0.0.1:5000', { host: '127.0.0.1', port: 5000 }],
  ['[::1]:0', { host: '::1', port: 0 }],
  [':8080', { host: '', port: 8080 }],
  ['localhost:65535', { host: 'localhost', port: 65_535 }],
])('reads and writes %s', (text, address) => {
  expect(parseAddress(text)).toEqual(address);
  expect(formatAddress(address)).toBe(text);
});

test.each(['', '5000', 'a:', 'a:b', '::1:5000', '[::1]', 'a:65536', 'a:5000 '])('refuses %j', (text) => {
  expect(() => parseAddress(text)).toThrow(TypeError);
});

test.each([
  ['127.0.0.1', true],
  ['127.1.2.3', true],
  ['LOCALHOST', true],
  ['::1', true],
  ['', false],
  ['0.0.0.0', false],
  ['127.example.com', false],
])('loopback %j: %s', (host, expected) => {
  expect(isLoopback(host)).toBe(expected);
});
