import { expect, test } from 'vitest';

import { reproducer } from '../../fuzz/results.ts';
import { fuzz } from '../../fuzz/run.ts';

/** The long run is `npm run fuzz`. */
test.each([
  ['http, open to everybody', false],
  ['https, with a user', true],
])('a few seconds of random and changed requests do no harm: %s', async (_, secured) => {
  const report = await fuzz({ seed: 20_261_121, seconds: 4, clients: 8, secured });

  expect(report.failures.map((failure) => reproducer(failure))).toEqual([]);
  expect(report.requests).toBeGreaterThan(50);
  expect(report.acknowledged).toBeGreaterThan(5);
});
