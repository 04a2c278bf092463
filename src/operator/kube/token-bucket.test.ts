import { expect, test } from 'vitest';

import { VirtualClock } from '../../../test/helpers/virtual-clock.ts';
import { TokenBucket } from './token-bucket.ts';

function bucket(): { clock: VirtualClock; tokens: TokenBucket } {
  const clock = new VirtualClock();
  return { clock, tokens: new TokenBucket({ perSecond: 10, burst: 3, clock }) };
}

test('lets a burst pass at once and the rest at its rate', async () => {
  const { clock, tokens } = bucket();
  let passed = 0;
  const take = async (): Promise<void> => {
    await tokens.take();
    passed += 1;
  };
  for (let index = 0; index < 6; index += 1) void take();

  await clock.advance(0);
  expect(passed).toBe(3);
  await clock.advance(100);
  expect(passed).toBe(4);
  await clock.advance(200);
  expect(passed).toBe(6);
});

test('saves no more than the burst', async () => {
  const { clock, tokens } = bucket();

  await clock.advance(60_000);

  expect([1, 2, 3, 4].map(() => tokens.tryTake())).toEqual([true, true, true, false]);
});

test('gives the token of an aborted wait back', async () => {
  const { clock, tokens } = bucket();
  for (let index = 0; index < 3; index += 1) tokens.tryTake();
  const controller = new AbortController();
  const waiting = tokens.take(controller.signal);

  controller.abort(new Error('stop'));

  await expect(waiting).rejects.toThrow('stop');
  await clock.advance(100);
  expect(tokens.tryTake()).toBe(true);
});
