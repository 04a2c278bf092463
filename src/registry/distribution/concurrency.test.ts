import { expect, test } from 'vitest';

import { mapConcurrently } from './concurrency.ts';

test('works on every item, on a few at the same time', async () => {
  const seen: number[] = [];
  let running = 0;
  let most = 0;

  await mapConcurrently([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
    running++;
    most = Math.max(most, running);
    await new Promise(setImmediate);
    seen.push(item);
    running--;
  });

  expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(most).toBe(3);
});

test('stops at the first failure, after what was started', async () => {
  const ended: number[] = [];

  const outcome = mapConcurrently([1, 2, 3, 4, 5, 6], 2, async (item) => {
    await new Promise(setImmediate);
    ended.push(item);
    if (item === 2) throw new Error('second');
  });

  await expect(outcome).rejects.toThrow('second');
  expect(ended.length).toBeLessThan(6);
});
