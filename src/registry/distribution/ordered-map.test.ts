import { setTimeout as sleep } from 'node:timers/promises';

import { expect, test } from 'vitest';

import { mapInOrder } from './ordered-map.ts';

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of source) all.push(item);
  return all;
}

async function* numbers(end: number): AsyncGenerator<number> {
  for (let number = 0; number < end; number++) yield number;
}

test('keeps the order, whichever ends first, and runs no more than allowed', async () => {
  let running = 0;
  let most = 0;
  const work = async (number: number): Promise<number> => {
    most = Math.max(most, ++running);
    await sleep(number % 2 === 0 ? 3 : 0);
    running--;
    return 10 * number;
  };

  const results = await collect(mapInOrder(numbers(20), 4, work));

  expect(results).toEqual(Array.from({ length: 20 }, (_, number) => 10 * number));
  expect(most).toBe(4);
});

test('waits for what it has started when the caller stops or a result fails', async () => {
  let running = 0;
  const work = async (number: number): Promise<number> => {
    running++;
    await sleep(5);
    running--;
    if (number === 3) throw new Error('three');
    return number;
  };

  for await (const number of mapInOrder(numbers(20), 4, work)) if (number === 1) break;
  expect(running).toBe(0);

  await expect(collect(mapInOrder(numbers(20), 4, work))).rejects.toThrow('three');
  expect(running).toBe(0);
});
