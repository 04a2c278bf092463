import { describe, expect, test } from 'vitest';

import type { StorageKey } from '../driver.ts';
import { createMemoryDriver } from '../drivers/memory.ts';
import { isStorageError } from '../errors.ts';
import { validated } from './validated.ts';

const BAD_KEYS = [
  '',
  '/',
  '/absolute',
  'trailing/',
  'double//slash',
  '..',
  'a/../b',
  'a/./b',
  'back\\slash',
  'nul\0',
  'new\nline',
  'space in it',
  '%2e%2e/x',
  'tilde~lock',
  'umlaut/ä',
  `${'n'.repeat(256)}/x`,
  `x${'/y'.repeat(600)}`,
];

describe('validated', () => {
  test.each(BAD_KEYS)('refuses the key %j in every call', async (text) => {
    const driver = validated(createMemoryDriver());
    const bad = text as StorageKey;
    const good = 'good' as StorageKey;
    const session = await driver.startWrite('upload/data' as StorageKey);

    const calls = [
      driver.stat(bad),
      driver.get(bad, 1),
      driver.put(bad, Buffer.of()),
      driver.open(bad),
      driver.startWrite(bad),
      driver.resumeWrite(bad),
      driver.move(bad, good),
      driver.move(good, bad),
      driver.delete([good, bad]),
      driver.redirectUrl(bad),
      session.commit(bad),
    ];

    for (const outcome of await Promise.allSettled(calls)) {
      expect(outcome.status === 'rejected' && isStorageError(outcome.reason, 'INVALID_KEY')).toBe(true);
    }
  });

  test.each(['no-slash', '/', '../', 'a//', 'a/../'])('refuses the prefix %j', async (prefix) => {
    const driver = validated(createMemoryDriver());

    await expect(driver.list(prefix)).rejects.toSatisfy((error) => isStorageError(error, 'INVALID_KEY'));
  });

  test.each([0, -1, 1001, 1.5, Number.NaN])('refuses a limit of %d', async (limit) => {
    const driver = validated(createMemoryDriver());

    await expect(driver.list('', { limit })).rejects.toSatisfy((error) =>
      isStorageError(error, 'INVALID_RANGE'),
    );
  });

  test.each([
    [-1, 0],
    [2, 1],
    [0, 2 ** 60],
    [0.5, 1],
  ])('refuses the range %d-%d', async (start, end) => {
    const driver = validated(createMemoryDriver());

    await expect(driver.open('a' as StorageKey, { start, end })).rejects.toSatisfy((error) =>
      isStorageError(error, 'INVALID_RANGE'),
    );
  });
});
