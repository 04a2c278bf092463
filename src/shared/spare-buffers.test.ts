import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { SpareBuffers } from './spare-buffers.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function spareBuffers(limitBytes: number) {
  const dropped: Uint8Array[] = [];
  const spare = new SpareBuffers<Uint8Array>({ limitBytes, drop: (buffer) => dropped.push(buffer) });
  return { spare, dropped };
}

test('lends the buffer again that was given last, to who wants its size', () => {
  const { spare } = spareBuffers(1000);
  const [first, second] = [new Uint8Array(10), new Uint8Array(10)];
  spare.give(first);
  spare.give(second);

  expect(spare.take(20)).toBeUndefined();
  expect(spare.take(10)).toBe(second);
  expect(spare.take(10)).toBe(first);
  expect(spare.take(10)).toBeUndefined();
  expect(spare.bytes).toBe(0);
});

test('keeps no more than its limit', () => {
  const { spare, dropped } = spareBuffers(30);
  const buffers = [10, 10, 20].map((size) => new Uint8Array(size));

  for (const buffer of buffers) spare.give(buffer);

  expect(spare.bytes).toBe(20);
  expect(dropped).toEqual([buffers[2]]);
});

test('drops what nobody took for a while, and keeps what is in use', () => {
  const { spare, dropped } = spareBuffers(1000);
  const unused = new Uint8Array(10);
  spare.give(unused);
  spare.give(new Uint8Array(10));
  for (let round = 0; round < 10; round++) {
    vi.advanceTimersByTime(3000);
    spare.give(spare.take(10) ?? new Uint8Array(10));
  }

  expect(dropped).toEqual([unused]);
  expect(spare.bytes).toBe(10);

  vi.advanceTimersByTime(20_000);

  expect(dropped).toHaveLength(2);
  expect(spare.bytes).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});
