import { expect, test } from 'vitest';

import { fromSystem } from './failure.ts';

test.each([
  ['ENOSPC', 'NO_SPACE'],
  ['EDQUOT', 'NO_SPACE'],
  ['EACCES', 'ACCESS_DENIED'],
  ['EROFS', 'ACCESS_DENIED'],
  ['ENOENT', 'NOT_FOUND'],
  ['ENAMETOOLONG', 'INVALID_KEY'],
  ['EMFILE', 'UNAVAILABLE'],
])('%s is %s', (code, expected) => {
  const cause = Object.assign(new Error(`${code}: something`), { code });

  const error = fromSystem(cause, 'put');

  expect(error).toMatchObject({ code: expected, driver: 'filesystem', operation: 'put', cause });
});
