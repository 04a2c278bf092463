import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { LimitsConfig } from '../../api/registry-config.ts';
import { shareOf, shareOfLimits } from './process-share.ts';

function shares(total: number, min: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => shareOf(total, min, { number: index + 1, count }));
}

describe('the shares of a budget', () => {
  it('are as equal as can be, the first ones larger', () => {
    expect(shares(10, 1, 4)).toEqual([3, 3, 2, 2]);
  });

  it('are never less than the minimum', () => {
    expect(shares(2, 1, 4)).toEqual([1, 1, 1, 1]);
    expect(shares(1, 0, 3)).toEqual([1, 0, 0]);
  });

  it('are together the budget wherever it is enough for the minimum of each', () => {
    const budgets = fc.record({ total: fc.nat(200_000), count: fc.integer({ min: 1, max: 64 }) });
    fc.assert(
      fc.property(budgets, ({ total, count }) => {
        const sum = shares(total, 0, count).reduce((left, right) => left + right, 0);
        expect(sum).toBe(total);
      }),
    );
  });
});

describe('the limits of one process', () => {
  const limits = LimitsConfig.parse({
    read: { maxRunning: 5, maxQueued: 1 },
    write: { maxRunning: 1, maxQueued: 0 },
    perClient: { maxRunning: 3, requestsPerSecond: 1, burst: 5, maxOpenUploads: 1 },
  });

  it('are its part of what may run, wait, be open, and come in a second', () => {
    expect(shareOfLimits(limits, { number: 1, count: 2 })).toEqual({
      ...limits,
      read: { maxRunning: 3, maxQueued: 1, maxWaitSeconds: 30 },
      write: { maxRunning: 1, maxQueued: 0, maxWaitSeconds: 30 },
      perClient: { maxRunning: 2, requestsPerSecond: 0.5, burst: 3, maxOpenUploads: 1 },
    });
    expect(shareOfLimits(limits, { number: 2, count: 2 })).toMatchObject({
      read: { maxRunning: 2, maxQueued: 0 },
      perClient: { maxRunning: 1, requestsPerSecond: 0.5, burst: 2, maxOpenUploads: 1 },
    });
  });

  it('has no limit per client where there is none', () => {
    const { perClient } = shareOfLimits(LimitsConfig.parse({}), { number: 2, count: 2 });

    expect(perClient).toEqual({ burst: 50, maxOpenUploads: 500 });
  });
});
