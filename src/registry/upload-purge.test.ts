import { describe, expect, it } from 'vitest';

import { VirtualClock } from '../../test/helpers/virtual-clock.ts';
import { createLogger } from '../shared/logger.ts';
import { UploadPurge } from './upload-purge.ts';

const HOUR_MS = 60 * 60_000;

/** A purge on a clock that stands still, and the moments before which it removed sessions. */
function start(outcome: () => Promise<number>, changes: { maxAgeMs?: number; intervalMs?: number } = {}) {
  const clock = new VirtualClock(new Date('2026-01-10T00:00:00Z'));
  const calls: string[] = [];
  const lines: string[] = [];
  const uploads = {
    purge: (olderThan: Date) => {
      calls.push(olderThan.toISOString());
      return outcome();
    },
  };
  const logger = createLogger({
    level: 'info',
    destination: { write: (line: string) => void lines.push(line) },
  });
  const times = { maxAgeMs: 7 * 24 * HOUR_MS, intervalMs: 6 * HOUR_MS, ...changes };
  const purge = new UploadPurge({ uploads, clock, logger, random: () => 0.5, ...times });
  purge.start();
  return { purge, clock, calls, lines };
}

describe('UploadPurge', () => {
  it('removes what is older than a week, soon after the start and then every six hours', async () => {
    const { purge, clock, calls, lines } = start(() => Promise.resolve(2));

    await clock.advance(15 * 60_000);
    await clock.advance(6 * HOUR_MS);
    await purge.close();

    expect(calls).toEqual(['2026-01-03T00:15:00.000Z', '2026-01-03T06:15:00.000Z']);
    expect(lines.join('')).toContain('abandoned uploads removed');
  });

  it('goes by the configured times', async () => {
    const { purge, clock, calls } = start(() => Promise.resolve(0), {
      maxAgeMs: HOUR_MS,
      intervalMs: 60_000,
    });

    await clock.advance(30_000);
    await clock.advance(60_000);
    await purge.close();

    expect(calls).toEqual(['2026-01-09T23:00:30.000Z', '2026-01-09T23:01:30.000Z']);
  });

  it('goes on after a failure, which it tells', async () => {
    const { purge, clock, calls, lines } = start(() => Promise.reject(new Error('storage is away')));

    await clock.advance(15 * 60_000);
    await clock.advance(6 * HOUR_MS);
    await purge.close();

    expect(calls).toHaveLength(2);
    expect(lines.join('')).toContain('storage is away');
  });

  it('ends at once while it waits', async () => {
    const { purge, calls } = start(() => Promise.resolve(0));

    await purge.close();

    expect(calls).toEqual([]);
  });
});
