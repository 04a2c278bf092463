import { describe, expect, test } from 'vitest';

import { KeyedLock } from './keyed-lock.ts';

describe('KeyedLock', () => {
  test('runs work on one key in order, also after a failure, and other keys at once', async () => {
    const lock = new KeyedLock();
    const order: string[] = [];
    const gate = Promise.withResolvers<void>();
    const first = lock.run('a', async () => {
      await gate.promise;
      order.push('first');
      throw new Error('failed');
    });
    const second = lock.run('a', async () => void order.push('second'));
    await lock.run('b', async () => void order.push('other'));
    gate.resolve();

    await expect(first).rejects.toThrow('failed');
    await second;
    expect(await lock.run('a', async () => 'third')).toBe('third');
    expect(order).toEqual(['other', 'first', 'second']);
  });
});
