import { describe, expect, it, vi } from 'vitest';

import { VirtualClock } from '../../test/helpers/virtual-clock.ts';
import { createLogger } from '../shared/logger.ts';
import { IndexPass, type IndexPassOptions, RepairCounts } from './index-pass.ts';

const HOUR_MS = 60 * 60_000;
const START = new Date('2026-01-10T00:00:00Z');

/** A pass on a clock that stands still, with what it did in order. */
function start(overrides: Partial<IndexPassOptions['repair']> = {}, mark: { last?: Date } = {}) {
  const clock = new VirtualClock(START);
  const calls: string[] = [];
  const lines: string[] = [];
  const counts = new RepairCounts();
  const repair: IndexPassOptions['repair'] = {
    compareCatalog: async () => void calls.push('catalog'),
    compareContent: async () => void calls.push('content'),
    lastComplete: async () => mark.last,
    markComplete: async (now) => {
      calls.push(`mark ${now.toISOString()}`);
      mark.last = now;
    },
    ...overrides,
  };
  const logger = createLogger({
    level: 'debug',
    destination: { write: (line: string) => void lines.push(line) },
  });
  const catalog = { useIndex: () => void calls.push('use the index') };
  const pass = new IndexPass({ repair, counts, catalog, clock, logger, random: () => 0.5 });
  pass.start();
  return { pass, clock, calls, lines, counts, mark };
}

describe('IndexPass', () => {
  it('compares everything at the start and then once a day', async () => {
    const { pass, clock, calls, lines } = start();

    await clock.advance(24 * HOUR_MS);
    await pass.close();

    expect(calls).toEqual([
      'catalog',
      'use the index',
      'content',
      'mark 2026-01-10T00:00:00.000Z',
      'catalog',
      'use the index',
      'content',
      'mark 2026-01-11T00:00:00.000Z',
    ]);
    expect(lines.join('')).toMatch(/"level":"debug".*indexes compared with the content/);
  });

  it('compares the catalog in every process, and leaves the rest to the one that did it lately', async () => {
    const mark = { last: new Date(START.getTime() - 11 * HOUR_MS) };
    const { pass, clock, calls } = start({}, mark);

    await clock.advance(0);
    expect(calls).toEqual(['catalog', 'use the index']);
    mark.last = new Date(START.getTime() + 20 * HOUR_MS);
    await clock.advance(24 * HOUR_MS);
    expect(calls).toEqual(['catalog', 'use the index']);
    await clock.advance(24 * HOUR_MS);
    await pass.close();

    expect(calls.slice(2)).toEqual(['catalog', 'use the index', 'content', 'mark 2026-01-12T00:00:00.000Z']);
  });

  it('does not believe a mark of the future', async () => {
    const { pass, clock, calls } = start({}, { last: new Date(START.getTime() + HOUR_MS) });

    await clock.advance(0);
    await pass.close();

    expect(calls).toContain('content');
  });

  it('tells what it amended in one line', async () => {
    const counts = new RepairCounts();
    const found = start({
      compareCatalog: async () => {
        for (const action of ['added', 'added', 'removed'] as const) found.counts.add('catalog', action);
      },
    });

    await found.clock.advance(0);
    await found.pass.close();

    expect(counts.take()).toEqual({});
    expect(found.lines).toHaveLength(1);
    expect(found.lines[0]).toMatch(/"level":"info".*"repairs":\{"catalog added":2,"catalog removed":1\}/);
  });

  it('does not use the index after a failure, which it tells, and tries again ever later', async () => {
    const times: number[] = [];
    const found = start({
      compareCatalog: async () => {
        times.push(found.clock.monotonic() / 60_000);
        if (times.length < 4) throw new Error('storage is away');
      },
    });
    const { pass, clock, calls, lines } = found;

    await clock.advance(30 * 60_000);
    expect(calls).toEqual([]);
    await clock.advance(2 * HOUR_MS);
    await pass.close();

    expect(times).toEqual([0, 15, 45, 105]);
    expect(lines.filter((line) => line.includes('storage is away'))).toHaveLength(3);
    expect(calls).toEqual(['use the index', 'content', expect.stringMatching(/^mark/)]);
  });

  it('uses the index although nothing can be written', async () => {
    const { pass, clock, calls, lines } = start({
      markComplete: () => Promise.reject(new Error('read-only')),
    });

    await clock.advance(0);
    await pass.close();

    expect(calls).toEqual(['catalog', 'use the index', 'content']);
    expect(lines.join('')).toContain('read-only');
  });

  it('ends at once, in the middle of a pass too, and without a word', async () => {
    const reached = vi.fn<() => void>();
    const { pass, clock, calls, lines } = start({
      compareCatalog: ({ signal }) =>
        new Promise((_resolve, reject) => {
          reached();
          signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        }),
    });
    await clock.advance(0);
    expect(reached).toHaveBeenCalledOnce();

    await pass.close();

    expect(calls).toEqual([]);
    expect(lines).toEqual([]);
  });
});
