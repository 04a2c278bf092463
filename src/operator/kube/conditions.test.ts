import { expect, test } from 'vitest';

import { findCondition, setCondition, type StatusCondition } from './conditions.ts';

const OLD: StatusCondition = {
  type: 'Ready',
  status: 'False',
  reason: 'Waiting',
  message: 'no pod is ready',
  observedGeneration: 1,
  lastTransitionTime: '2026-01-01T00:00:00Z',
};
const NOW = new Date('2026-02-02T02:02:02.222Z');

test('adds a condition with the moment in whole seconds', () => {
  const { lastTransitionTime: _, ...condition } = OLD;

  expect(setCondition([], condition, NOW)).toEqual([{ ...OLD, lastTransitionTime: '2026-02-02T02:02:02Z' }]);
});

test('keeps the moment while the status stays', () => {
  const next = { ...OLD, reason: 'Pulling', observedGeneration: 2 };

  expect(setCondition([OLD], next, NOW)).toEqual([next]);
});

test('sets the moment when the status changes, in place', () => {
  const other = { ...OLD, type: 'Progressing' };

  const result = setCondition([OLD, other], { ...OLD, status: 'True' }, NOW);

  expect(result).toEqual([{ ...OLD, status: 'True', lastTransitionTime: '2026-02-02T02:02:02Z' }, other]);
  expect(findCondition(result, 'Progressing')).toBe(other);
});

test('gives the same list back when nothing changes', () => {
  const conditions = [OLD];

  expect(setCondition(conditions, { ...OLD }, NOW)).toBe(conditions);
});
