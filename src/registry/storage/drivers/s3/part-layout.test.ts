import { expect, test } from 'vitest';

import { partAt } from './part-layout.ts';

test('parts follow each other without a gap, and 10,000 of them hold the largest object', () => {
  let end = 0;
  for (let number = 1; number <= 10_000; number++) {
    const part = partAt(number);
    expect(part.start).toBe(end);
    end += part.size;
  }

  expect(partAt(1).size).toBeGreaterThanOrEqual(5 << 20);
  expect(partAt(10_000).size).toBeLessThanOrEqual(5 * 2 ** 30);
  expect(end).toBeGreaterThanOrEqual(5 * 2 ** 40);
});
