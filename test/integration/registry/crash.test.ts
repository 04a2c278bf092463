import { expect, test } from 'vitest';

import { STORAGE_NAMES, withTrial } from '../../crash/storages.ts';

/** `npm run test:crash` makes many more. */
const ROUNDS = 10;

test.each(STORAGE_NAMES)(
  'a server on %s that is killed under load has lost nothing, and shows nothing that is not whole',
  async (name) => {
    const seed = Date.now() % 2 ** 32;
    await withTrial(name, seed, async (trial) => {
      for (let round = 1; round <= ROUNDS; round++) {
        expect({ seed, round, problems: await trial.round() }).toEqual({ seed, round, problems: [] });
      }
      // So many that the kills met some in the middle.
      expect(trial.done).toBeGreaterThan(ROUNDS);
    });
  },
  300_000,
);
