import { expect, test } from 'vitest';

import { contains } from './apply.ts';

test.each([
  ['a part of an object', { a: 1, b: { c: 2 } }, { b: { c: 2 } }],
  ['undefined members', { a: 1 }, { a: 1, b: undefined }],
  [
    'items of keyed lists in any order, beside those of others',
    [{ name: 'x', v: 1, w: 2 }, { name: 'y' }],
    [{ name: 'x', v: 1 }],
  ],
  ['equal lists of values', { args: ['a', 'b'] }, { args: ['a', 'b'] }],
  ['empty lists', { args: [] }, { args: [] }],
])('contains %s', (_, live, desired) => {
  expect(contains(live, desired)).toBe(true);
});

test.each([
  ['another value', { a: 1 }, { a: 2 }],
  ['a missing member', { a: 1 }, { b: 1 }],
  ['a missing object', {}, { b: { c: 1 } }],
  ['a value in another form', { cpu: '1' }, { cpu: '1000m' }],
  ['a longer list of values', { args: ['a', 'b'] }, { args: ['a'] }],
  ['another order of values', { args: ['b', 'a'] }, { args: ['a', 'b'] }],
  ['an item with another value', [{ name: 'x', v: 2 }], [{ name: 'x', v: 1 }]],
  ['something in place of a list', { args: 'a' }, { args: ['a'] }],
  ['null', null, { a: 1 }],
])('does not contain %s', (_, live, desired) => {
  expect(contains(live, desired)).toBe(false);
});
