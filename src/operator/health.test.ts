import { expect, test } from 'vitest';

import { liveness, readiness, type HealthFacts, type WatchFacts } from './health.ts';

const LIMITS = { loopDelayMs: 5000, stuckMs: 600_000 };
const WATCH: WatchFacts = {
  resource: 'secrets',
  namespace: undefined,
  synced: true,
  silentMs: 1500,
  stuckMs: 10,
};
const WELL: HealthFacts = { lease: { holds: true, stale: false }, watches: [WATCH], loopDelayMs: 21 };

test('is alive while all is well, and while the API server is away', () => {
  expect(liveness(WELL, LIMITS)).toEqual({ ok: true, body: 'ok' });
  expect(liveness({ ...WELL, watches: [{ ...WATCH, silentMs: 3_600_000 }] }, LIMITS).ok).toBe(true);
});

test.each<[string, Partial<HealthFacts>, string]>([
  ['a lease that ran out', { lease: { holds: false, stale: true } }, 'the lease has run out'],
  ['a slow event loop', { loopDelayMs: 5001 }, 'the event loop is too slow'],
  [
    'a watch that hangs',
    { watches: [{ ...WATCH, namespace: 'ns', stuckMs: 600_001 }] },
    'secrets in ns hangs',
  ],
])('is not alive with %s', (_, facts, problem) => {
  const check = liveness({ ...WELL, ...facts }, LIMITS);

  expect(check.ok).toBe(false);
  expect(check.body).toContain(problem);
});

test('is ready once every cache is filled, leader or not', () => {
  const waiting = { ...WELL, lease: { holds: false, stale: false } };

  expect(readiness(waiting, false)).toEqual({ ok: true, body: 'ok' });
  expect(
    readiness({ ...waiting, watches: [WATCH, { ...WATCH, resource: 'pods', synced: false }] }, false),
  ).toEqual({
    ok: false,
    body: 'not synced: pods',
  });
});

test('tells the state of every watch and who leads', () => {
  expect(readiness(WELL, true)).toEqual({
    ok: true,
    body: {
      status: 'ready',
      leader: true,
      watches: [{ resource: 'secrets', namespace: undefined, synced: true, silentSeconds: 2 }],
    },
  });
  expect(readiness({ ...WELL, lease: undefined }, true).body).toMatchObject({ leader: true });
});
