import { describe, expect, it } from 'vitest';

import { BodyPace } from './body-pace.ts';

const LIMITS = { idleMs: 1000, minBytesPerSecond: 100 };

/** Waits from `from` to `to` for this many bytes. @returns what the looks in between have found */
function waitFor(pace: BodyPace, [from, to]: [number, number], bytes: number): string | undefined {
  pace.wait(from);
  for (let now = from + pace.patience(from); now < to; now += pace.patience(now)) {
    const fault = pace.check(now);
    if (fault) return `${fault} at ${now}`;
  }
  pace.resume(to);
  pace.received(bytes);
  return undefined;
}

describe('BodyPace', () => {
  it('ends a wait in which nothing comes', () => {
    const pace = new BodyPace({ ...LIMITS, minBytesPerSecond: 0 });

    expect(waitFor(pace, [0, 999], 1)).toBeUndefined();
    expect(waitFor(pace, [999, 5000], 1)).toBe('idle at 1999');
  });

  it('lets a body pass that keeps the average', () => {
    const pace = new BodyPace(LIMITS);

    for (let now = 0; now < 20_000; now += 500) {
      expect(waitFor(pace, [now, now + 500], 60)).toBeUndefined();
    }
  });

  it('ends a body that comes in drops', () => {
    const pace = new BodyPace(LIMITS);
    const faults: (string | undefined)[] = [];

    for (let now = 0; faults.at(-1) === undefined && now < 10_000; now += 300) {
      faults.push(waitFor(pace, [now, now + 300], 1));
    }

    expect(faults.at(-1)).toBe('slow at 1000');
  });

  it('lets drops pass without a lowest rate', () => {
    const pace = new BodyPace({ ...LIMITS, minBytesPerSecond: 0 });

    for (let now = 0; now < 20_000; now += 900) {
      expect(waitFor(pace, [now, now + 900], 1)).toBeUndefined();
    }
  });

  it('begins a new average after each, so that a fast begin buys no slow end', () => {
    const pace = new BodyPace(LIMITS);
    expect(waitFor(pace, [0, 900], 1_000_000)).toBeUndefined();

    const faults: (string | undefined)[] = [];
    for (let now = 900; faults.at(-1) === undefined && now < 10_000; now += 300) {
      faults.push(waitFor(pace, [now, now + 300], 1));
    }

    expect(faults.at(-1)).toBe('slow at 2000');
  });

  it('does not count the time in which the server is busy', () => {
    const pace = new BodyPace(LIMITS);

    for (let now = 0; now < 1_000_000; now += 10_000) {
      expect(waitFor(pace, [now, now + 10], 10)).toBeUndefined();
    }
  });
});
