import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { MAX_PAGE_ENTRIES, pageLimit, takePage } from './page.ts';

async function* upTo(count: number, taken: { entries: number }): AsyncGenerator<number> {
  for (let entry = 0; entry < count; entry++) {
    taken.entries++;
    yield entry;
  }
}

test('a page has the first entries, tells whether more follow, and reads one beyond itself at most', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: 20 }), fc.nat({ max: 20 }), async (count, limit) => {
      const taken = { entries: 0 };

      const page = await takePage(upTo(count, taken), limit);

      expect(page.entries).toHaveLength(Math.min(count, limit));
      expect(page.more).toBe(limit > 0 && count > limit);
      expect(taken.entries).toBeLessThanOrEqual(limit === 0 ? 0 : limit + 1);
    }),
  );
});

test('no client gets more than the bound, however much it asks for', () => {
  expect([undefined, 0, 5, 1e9, 2 ** 63].map((n) => pageLimit(n === undefined ? {} : { n }))).toEqual([
    MAX_PAGE_ENTRIES,
    0,
    5,
    MAX_PAGE_ENTRIES,
    MAX_PAGE_ENTRIES,
  ]);
});
