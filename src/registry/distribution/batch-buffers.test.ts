import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { type Batch, BatchBuffers } from './batch-buffers.ts';

test('buffers are large while there is room, then smaller, and never below 64 KiB', () => {
  const buffers = new BatchBuffers(4 << 20);

  const sizes = Array.from({ length: 200 }, () => buffers.take().byteLength);

  expect(sizes[0]).toBe(512 << 10);
  expect(sizes.at(-1)).toBe(64 << 10);
  expect(sizes).toEqual(sizes.toSorted((left, right) => right - left));
});

test('with many uploads buffers are smaller, however much room there is', () => {
  const buffers = new BatchBuffers(1 << 30);

  const sizes = Array.from({ length: 200 }, () => buffers.take().byteLength >> 10);

  expect(sizes.filter((size) => size === 512)).toHaveLength(24);
  expect(sizes.filter((size) => size === 256)).toHaveLength(24);
  expect(sizes.at(-1)).toBe(128);
});

test('a buffer that was given back is lent again', () => {
  const buffers = new BatchBuffers(4 << 20);
  const first = buffers.take();

  buffers.give(first);

  expect(buffers.take()).toBe(first);
});

test('no two streams have the same buffer, and what is lent stays within the bound while it can', () => {
  const steps = fc.array(fc.integer({ min: -3, max: 3 }), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (moves) => {
      const buffers = new BatchBuffers(8 << 20);
      const lent: Batch[] = [];
      for (const move of moves) {
        const batch = move < 0 ? lent.shift() : undefined;
        if (batch) buffers.give(batch);
        if (move >= 0) lent.push(buffers.take());

        expect(new Set(lent).size).toBe(lent.length);
        expect(lent.reduce((sum, { byteLength }) => sum + byteLength, 0)).toBeLessThanOrEqual(8 << 20);
      }
    }),
  );
});
