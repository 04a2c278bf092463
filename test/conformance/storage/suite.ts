import { describe } from 'vitest';

import type { DriverTraits } from './fixture.ts';
import { describeListing } from './listing.ts';
import { describeObjects } from './objects.ts';
import { describeReading } from './reading.ts';
import { describeWriting } from './writing.ts';

/** The contract of `src/registry/storage/driver.ts` as tests; every driver passes all of them. */
export function describeDriver(name: string, traits: DriverTraits): void {
  describe(`${name} driver`, () => {
    describeObjects(traits);
    describeReading(traits);
    describeWriting(traits);
    describeListing(traits);
  });
}
