import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { guardJson } from './json-guard.ts';

test('has no complaint about any ordinary document', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 8 }), (text) => {
      expect(guardJson(text)).toBeUndefined();
      expect(guardJson(JSON.stringify(JSON.parse(text), undefined, 3))).toBeUndefined();
    }),
  );
});

test('never fails on anything, and never complains of what cannot be parsed for long', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'{}[]":,\\u0061 \n'.split('')) }), (text) => {
      expect(typeof guardJson(text)).toMatch(/^(?:undefined|string)$/);
    }),
  );
});

test.each([
  '{"layers":[],"layers":[]}',
  '{"layers":[],"a":{"layers":1}, "layers" \n\t: []}',
  String.raw`{"layers":[],"\u006cayers":[]}`,
  '{"":1,"":2}',
  '{"config":{"digest":1,"digest":2}}',
  '{"layers":[{"size":1},{"size":1,"x":{},"size":2}]}',
  String.raw`{"a":[[{"b\"":1,"b\u0022":2}]]}`,
])('finds the member that occurs twice in %s', (text) => {
  expect(guardJson(text)).toMatch(/occurs twice$/);
});

test.each([
  '{"a":"b","b":"a"}',
  '{"a":{"x":1},"b":{"x":1}}',
  '{"x":{"x":{"x":1}},"y":[{"x":1}],"z":1}',
  '[{"a":1},{"a":1}]',
  String.raw`{"a":"\"a\":","b":"\\"}`,
])('takes no value for a member in %s', (text) => {
  expect(guardJson(text)).toBeUndefined();
});

test('refuses a deep document quickly', () => {
  const text = '['.repeat(4_000_000);
  const started = performance.now();

  expect(guardJson(text)).toBe('nested deeper than 64 levels');
  expect(guardJson('['.repeat(64) + ']'.repeat(64))).toBeUndefined();
  expect(performance.now() - started).toBeLessThan(500);
});
