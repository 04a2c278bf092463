import { expect, it } from 'vitest';

import { ByteBudget } from './byte-budget.ts';

it('lends no more bytes than there are, and lends them again when they are given back', () => {
  const budget = new ByteBudget(100);
  const [first, second] = [budget.lease(), budget.lease()];

  expect([first.resize(60), second.resize(40), second.resize(41), first.resize(61)]).toEqual([
    true,
    true,
    false,
    false,
  ]);
  expect(budget.usedBytes).toBe(100);

  first.release();
  first.release();

  expect([second.resize(100), budget.usedBytes]).toEqual([true, 100]);
});

it('lends more than there is to the only one', () => {
  const budget = new ByteBudget(100);
  const [first, second] = [budget.lease(), budget.lease()];

  expect([
    first.resize(10),
    first.resize(500),
    second.resize(1),
    first.resize(50),
    second.resize(50),
  ]).toEqual([true, true, false, true, true]);
});
