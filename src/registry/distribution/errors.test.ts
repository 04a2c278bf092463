import { expect, test } from 'vitest';

import { StorageError } from '../storage/errors.ts';
import { DistributionError, ERROR_CATALOGUE, toDistributionError } from './errors.ts';

test('the catalogue has every code once, in order, with words for clients and for the documentation', () => {
  const codes = ERROR_CATALOGUE.map(({ code }) => code);

  expect(codes).toEqual([...new Set(codes)].toSorted());
  for (const { code, status, message, description } of ERROR_CATALOGUE) {
    expect(code).toMatch(/^[A-Z_]+$/);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(message).toMatch(/^[a-z]/);
    expect(description).toMatch(/\.$/);
  }
});

test('an error takes status and message from the catalogue unless it is given its own', () => {
  expect(new DistributionError('BLOB_UNKNOWN')).toMatchObject({
    code: 'BLOB_UNKNOWN',
    status: 404,
    message: 'blob unknown to the repository',
  });
  expect(new DistributionError('MANIFEST_INVALID', { status: 413, message: 'too long' })).toMatchObject({
    status: 413,
    message: 'too long',
  });
});

test('an error of this layer stays what it is', () => {
  const error = new DistributionError('NAME_UNKNOWN');

  expect(toDistributionError(error)).toBe(error);
});

test.each([
  ['NO_SPACE', 'UNAVAILABLE', 507],
  ['UNAVAILABLE', 'UNAVAILABLE', 503],
  ['INVALID_RANGE', 'RANGE_INVALID', 416],
  ['ACCESS_DENIED', 'UNKNOWN', 500],
  ['READ_FAILED', 'UNKNOWN', 500],
] as const)('a storage failure %s becomes %s %i, without its text', (code, expected, status) => {
  const cause = new StorageError(code, { driver: 's3', operation: 'put', message: 'secret bucket' });

  const error = toDistributionError(cause);

  expect(error).toMatchObject({ code: expected, status, cause });
  expect(error.message).not.toContain('secret');
});

test('anything else is unknown to the client and kept for the log', () => {
  const cause = new TypeError('secret');

  expect(toDistributionError(cause)).toMatchObject({
    code: 'UNKNOWN',
    status: 500,
    message: 'unknown error',
    cause,
  });
});
