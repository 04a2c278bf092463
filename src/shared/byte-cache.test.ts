import { expect, test } from 'vitest';

import { ByteCache } from './byte-cache.ts';

function keptOf(cache: ByteCache<string>, ...keys: readonly string[]): string[] {
  return keys.filter((key) => cache.get(key) !== undefined);
}

test('keeps what was asked for last, within its bound', () => {
  const cache = new ByteCache<string>({ maxBytes: 100, maxEntryBytes: 50 });
  cache.add('a', 'A', 40);
  cache.add('b', 'B', 40);
  expect(cache.get('a')).toBe('A');

  cache.add('c', 'C', 40);

  expect(keptOf(cache, 'a', 'b', 'c')).toEqual(['a', 'c']);
});

test('counts a value once that is added again, and keeps no giants', () => {
  const cache = new ByteCache<string>({ maxBytes: 100, maxEntryBytes: 50 });
  for (let round = 0; round < 10; round++) cache.add('a', 'A', 40);
  cache.add('b', 'B', 40);
  cache.add('giant', 'G', 51);

  expect(keptOf(cache, 'a', 'b', 'giant')).toEqual(['a', 'b']);
});

test('forgets a value that has become a giant', () => {
  const cache = new ByteCache<string>({ maxBytes: 100, maxEntryBytes: 50 });
  cache.add('a', 'A', 10);
  cache.add('a', 'AAA', 60);
  cache.add('b', 'B', 50);
  cache.add('c', 'C', 50);

  expect(keptOf(cache, 'a', 'b', 'c')).toEqual(['b', 'c']);
});
