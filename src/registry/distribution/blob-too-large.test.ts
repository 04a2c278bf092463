import { expect, test } from 'vitest';

import { bodyOf, call, createTestRegistry, digestOf, keysOf, refusal, REPOSITORY } from './testing.ts';

test('a limit of blobs is told before anything is read, or ends an upload that went beyond it', async () => {
  const registry = createTestRegistry();
  const { uploads } = registry;
  const { id } = await uploads.start(REPOSITORY, call());
  const limit = { maxBlobBytes: 5 };
  const announced = bodyOf('abcdef', { length: 6, ...limit });
  expect(await refusal(uploads.push(REPOSITORY, digestOf('abcdef'), announced, call()))).toBe(
    'SIZE_INVALID 413',
  );
  expect(await refusal(uploads.append(REPOSITORY, id, announced, call()))).toBe('SIZE_INVALID 413');
  await uploads.append(REPOSITORY, id, bodyOf('abcde', limit), call());
  expect(await uploads.status(REPOSITORY, id, call())).toMatchObject({ offset: 5 });

  expect(await refusal(uploads.append(REPOSITORY, id, bodyOf('f', limit), call()))).toBe('SIZE_INVALID 413');

  expect(await refusal(uploads.status(REPOSITORY, id, call()))).toBe('BLOB_UPLOAD_UNKNOWN 404');
  expect(await keysOf(registry.storage)).toEqual([]);
});
