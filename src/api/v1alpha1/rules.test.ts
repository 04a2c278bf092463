import { describe, expect, test } from 'vitest';

import { RULES } from './rules.ts';

describe('rules', () => {
  test('are told apart by place and message', () => {
    const keys = RULES.map(({ path, message }) => `${path}: ${message}`);

    expect(new Set(keys).size).toBe(keys.length);
  });

  test('compare with the former object exactly when their CEL does', () => {
    expect(RULES.filter(({ cel, transition }) => cel.includes('oldSelf') !== transition)).toEqual([]);
  });

  test('give a reason when they name a field, because the API server needs both', () => {
    expect(RULES.filter(({ fieldPath, reason }) => fieldPath !== undefined && reason === undefined)).toEqual(
      [],
    );
  });

  test('read optional fields only in ways whose cost the API server can bound', () => {
    expect(RULES.filter(({ cel }) => /\.\?|optional/.test(cel))).toEqual([]);
  });
});
