import { Counter, Gauge, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';

import type { MetricSnapshot } from './metric-sums.ts';
import { SummedMetrics } from './summed-metrics.ts';

async function snapshot(count: number): Promise<MetricSnapshot> {
  const register = new Registry();
  new Counter({ name: 'done_total', help: 'Done.', registers: [register] }).inc(count);
  new Gauge({ name: 'doing', help: 'Doing.', registers: [register] }).set(count);
  return register.getMetricsAsJSON();
}

async function values(metrics: SummedMetrics<object>): Promise<{ done: number; doing: number }> {
  const { body } = await metrics.render(await snapshot(0));
  const value = (name: string): number => Number(new RegExp(`^${name} (.*)$`, 'm').exec(body)?.[1]);
  return { done: value('done_total'), doing: value('doing') };
}

describe('the metrics of several processes', () => {
  it('count with each process what it said last', async () => {
    const metrics = new SummedMetrics<object>();
    const [first, second] = [{}, {}];
    metrics.heard(first, await snapshot(1));
    metrics.heard(first, await snapshot(3));
    metrics.heard(second, await snapshot(4));

    await expect(values(metrics)).resolves.toEqual({ done: 7, doing: 7 });
  });

  it('go on from what a process had counted that has ended', async () => {
    const metrics = new SummedMetrics<object>();
    const [old, next] = [{}, {}];
    metrics.heard(old, await snapshot(5));
    metrics.ended(old);
    metrics.ended(old);
    metrics.heard(next, await snapshot(2));

    await expect(values(metrics)).resolves.toEqual({ done: 7, doing: 2 });
  });

  it('lose nothing of a hundred processes that ended one after the other', async () => {
    const metrics = new SummedMetrics<object>();
    for (let n = 1; n <= 100; n += 1) {
      const process = {};
      metrics.heard(process, await snapshot(n));
      metrics.ended(process);
    }

    await expect(values(metrics)).resolves.toEqual({ done: 5050, doing: 0 });
  });
});
