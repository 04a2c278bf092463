import { assert, integer, nat, property } from 'fast-check';
import { describe, expect, test } from 'vitest';

import { compareQuantities, isQuantity, quantityNanos } from './quantity.ts';

describe('isQuantity', () => {
  test.each([
    '0',
    '1',
    '+1',
    '-1',
    '1.',
    '.5',
    '1.5Gi',
    '1Ki',
    '1E',
    '1Ei',
    '1e3',
    '1E-3',
    '1m',
    '007',
    5,
    0,
  ])('takes %s', (value) => {
    expect(isQuantity(value)).toBe(true);
  });

  test.each([
    '',
    ' ',
    '.',
    '+',
    'Gi',
    '1GB',
    '1K',
    '1ki',
    '1e',
    '1e+',
    '1 Gi',
    '1.2.3',
    '0x1',
    '1,5',
    '1Gi ',
    '∞',
  ])('does not take "%s"', (value) => {
    expect(isQuantity(value)).toBe(false);
  });
});

describe('quantityNanos', () => {
  test.each([
    ['1', 1_000_000_000n],
    ['1m', 1_000_000n],
    ['1n', 1n],
    ['0.5n', 1n],
    ['1e-20', 1n],
    ['1e-999999999', 1n],
    ['0e999999999', 0n],
    ['1.5Ki', 1_536_000_000_000n],
    ['-2k', -2_000_000_000_000n],
    ['1e999999999', (2n ** 63n - 1n) * 1_000_000_000n],
    ['8Ei', (2n ** 63n - 1n) * 1_000_000_000n],
  ])('of %s is %s', (value, nanos) => {
    expect(quantityNanos(value)).toBe(nanos);
  });
});

describe('compareQuantities', () => {
  test('reads units', () => {
    expect(compareQuantities('1024Mi', '1Gi')).toBe(0);
    expect(compareQuantities('1G', '1Gi')).toBe(-1);
    expect(compareQuantities(1_073_741_825, '1Gi')).toBe(1);
  });

  test('orders whole numbers as numbers', () => {
    const amount = integer({ min: -1_000_000_000_000, max: 1_000_000_000_000 });
    assert(
      property(amount, amount, (left, right) => {
        expect(compareQuantities(left, String(right))).toBe(Math.sign(left - right));
      }),
    );
  });

  test('is the same for a number and its thousandfold in thousandths', () => {
    assert(
      property(nat(), (value) => {
        expect(compareQuantities(`${value}`, `${BigInt(value) * 1000n}m`)).toBe(0);
      }),
    );
  });
});
