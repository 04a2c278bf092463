import { assert, jsonValue, property } from 'fast-check';
import { describe, expect, it, test } from 'vitest';

import { hashOf, stableStringify } from './json.ts';

describe('stableStringify', () => {
  test.each([
    [{ b: 1, a: [{ d: 1, c: 2 }] }, '{"a":[{"c":2,"d":1}],"b":1}'],
    [{ a: undefined, b: null }, '{"b":null}'],
    [[undefined], '[null]'],
    [new Date(0), '"1970-01-01T00:00:00.000Z"'],
    [undefined, 'null'],
  ])('writes %j', (value, text) => {
    expect(stableStringify(value)).toBe(text);
  });

  it('keeps a member called __proto__', () => {
    expect(stableStringify(JSON.parse('{"__proto__":{"a":1}}'))).toBe('{"__proto__":{"a":1}}');
  });

  it('says what JSON says', () => {
    assert(
      property(jsonValue(), (value) => {
        expect(JSON.parse(stableStringify(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});

describe('hashOf', () => {
  it('is the same whatever the order of members', () => {
    expect(hashOf({ a: 1, b: { c: 2, d: undefined } })).toBe(hashOf({ b: { c: 2 }, a: 1 }));
    expect(hashOf({ a: 1 })).not.toBe(hashOf({ a: 2 }));
  });
});
