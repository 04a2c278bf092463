import { expect, test } from 'vitest';

import { ManifestCache } from './manifest-cache.ts';
import { OCI_MANIFEST } from './media-types.ts';
import { digestOf } from './testing.ts';

function manifestOf(size: number): { mediaType: typeof OCI_MANIFEST; bytes: Uint8Array } {
  return { mediaType: OCI_MANIFEST, bytes: new Uint8Array(size) };
}

test('keeps what was asked for last, within its bound', () => {
  const cache = new ManifestCache(100);
  cache.add(digestOf('a'), manifestOf(40));
  cache.add(digestOf('b'), manifestOf(40));
  cache.get(digestOf('a'));

  cache.add(digestOf('c'), manifestOf(40));

  expect(['a', 'b', 'c'].map((text) => cache.get(digestOf(text)) !== undefined)).toEqual([true, false, true]);
});

test('counts a manifest once that is added again, and keeps no giants', () => {
  const cache = new ManifestCache(100);
  for (let round = 0; round < 10; round++) cache.add(digestOf('a'), manifestOf(40));
  cache.add(digestOf('b'), manifestOf(40));
  cache.add(digestOf('giant'), manifestOf(1 << 20));

  expect(['a', 'b', 'giant'].map((text) => cache.get(digestOf(text)) !== undefined)).toEqual([
    true,
    true,
    false,
  ]);
});
