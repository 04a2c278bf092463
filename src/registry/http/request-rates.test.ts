import { describe, expect, it } from 'vitest';

import { RequestRates } from './request-rates.ts';

const LIMIT = { perSecond: 2, burst: 3 };

describe('RequestRates', () => {
  it('lets a burst through, and then as many as the rate allows', () => {
    const rates = new RequestRates();
    const at = (now: number): number => rates.take('a', LIMIT, now);

    expect([at(0), at(0), at(0)]).toEqual([0, 0, 0]);
    expect(at(0)).toBe(0.5);
    expect(at(250)).toBe(0.25);
    expect(at(500)).toBe(0);
    expect(at(500)).toBe(0.5);
    expect([at(5000), at(5000), at(5000)]).toEqual([0, 0, 0]);
    expect(at(5000)).toBe(0.5);
  });

  it('counts each client by itself', () => {
    const rates = new RequestRates();
    for (let count = 0; count < 10; count += 1) rates.take('a', LIMIT, 0);

    expect(rates.take('b', LIMIT, 0)).toBe(0);
    expect(rates.take('a', LIMIT, 0)).toBeGreaterThan(0);
  });

  it('follows limits that change', () => {
    const rates = new RequestRates();
    for (let count = 0; count < 3; count += 1) rates.take('a', LIMIT, 0);

    expect(rates.take('a', { perSecond: 100, burst: 3 }, 100)).toBe(0);
    expect(rates.take('b', LIMIT, 200)).toBe(0);
    expect(rates.take('b', { perSecond: 2, burst: 1 }, 200)).toBe(0);
    expect(rates.take('b', { perSecond: 2, burst: 1 }, 200)).toBe(0.5);
  });

  it('forgets clients that might as well never have come', () => {
    const rates = new RequestRates();
    for (let client = 0; client < 1000; client += 1) rates.take(`client ${client}`, LIMIT, 0);
    expect(rates.size).toBe(1000);

    for (let count = 0; count < 1000; count += 1) rates.take('a', LIMIT, 60_000);

    expect(rates.size).toBe(1);
  });

  it('remembers a bounded number of clients, those that came last', () => {
    const rates = new RequestRates(1000);
    for (let client = 0; client < 100_000; client += 1) {
      rates.take(`client ${client}`, { perSecond: 0.001, burst: 1 }, client);
    }

    expect(rates.size).toBeLessThanOrEqual(1001);
    expect(rates.take('client 99999', { perSecond: 0.001, burst: 1 }, 100_000)).toBeGreaterThan(0);
  });
});
