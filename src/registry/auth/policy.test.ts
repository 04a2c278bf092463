import { describe, expect, it, test } from 'vitest';

import type { AuthConfig } from '../../api/registry-config.ts';
import { AccessPolicy } from './policy.ts';
import type { Action, Credentials } from './types.ts';

const PASSWORDS = {
  verify: ({ username, password }: Credentials) =>
    Promise.resolve(username === 'ada' && password === 'right'),
};
const CALLER = { clientKey: 'address:192.0.2.1', signal: new AbortController().signal };
const BASIC = { htpasswdFiles: ['/htpasswd'], realm: 'here' };
const RIGHT = `Basic ${Buffer.from('ada:right').toString('base64')}`;
const WRONG = `Basic ${Buffer.from('ada:wrong').toString('base64')}`;

function outcome(config: Partial<AuthConfig>, authorization: string | undefined, action: Action) {
  const policy = new AccessPolicy({ anonymous: 'None', anonymousDelete: false, ...config }, PASSWORDS);
  return policy.authorize(authorization, action, CALLER);
}

describe('AccessPolicy with users', () => {
  test.each([
    ['None', 'pull', 'challenged'],
    ['None', 'catalog', 'challenged'],
    ['None', 'push', 'challenged'],
    ['None', 'delete', 'challenged'],
    ['Pull', 'pull', 'allowed'],
    ['Pull', 'catalog', 'allowed'],
    ['Pull', 'push', 'challenged'],
    ['Pull', 'delete', 'challenged'],
    ['None', 'ping', 'challenged'],
    ['Pull', 'ping', 'challenged'],
    ['PullPush', 'ping', 'allowed'],
    ['PullPush', 'push', 'allowed'],
    ['PullPush', 'delete', 'challenged'],
  ] as const)('anonymous %s: %s is %s', async (anonymous, action, kind) => {
    expect(await outcome({ anonymous, basic: BASIC }, undefined, action)).toMatchObject({ kind });
  });

  test.each(['pull', 'push', 'delete', 'catalog'] as const)('a user may %s', async (action) => {
    expect(await outcome({ basic: BASIC }, RIGHT, action)).toEqual({ kind: 'allowed', user: 'ada' });
  });

  test.each(['None', 'Pull', 'PullPush'] as const)(
    'refuses a wrong password with anonymous %s',
    async (anonymous) => {
      expect(await outcome({ anonymous, basic: BASIC }, WRONG, 'pull')).toMatchObject({
        kind: 'challenged',
        challenge: 'Basic realm="here"',
      });
    },
  );

  it('takes an empty user and password for none', async () => {
    const empty = `Basic ${Buffer.from(':').toString('base64')}`;

    expect(await outcome({ anonymous: 'Pull', basic: BASIC }, empty, 'pull')).toEqual({ kind: 'allowed' });
    expect(await outcome({ anonymous: 'Pull', basic: BASIC }, empty, 'push')).toMatchObject({
      kind: 'challenged',
    });
  });

  it('refuses credentials of another scheme', async () => {
    expect(await outcome({ anonymous: 'PullPush', basic: BASIC }, 'Bearer x', 'pull')).toMatchObject({
      kind: 'challenged',
    });
  });

  it('lets anonymous clients delete only where that is set', async () => {
    const open = { anonymous: 'PullPush', anonymousDelete: true } as const;

    expect(await outcome({ ...open, basic: BASIC }, undefined, 'delete')).toEqual({ kind: 'allowed' });
    expect(await outcome({ ...open, anonymous: 'None', basic: BASIC }, undefined, 'delete')).toMatchObject({
      kind: 'challenged',
    });
  });
});

describe('AccessPolicy without users', () => {
  it('ignores credentials, which nothing could check', async () => {
    expect(await outcome({ anonymous: 'Pull' }, WRONG, 'pull')).toEqual({ kind: 'allowed' });
  });

  it('does not ask for a password that nothing could check', async () => {
    expect(await outcome({ anonymous: 'Pull' }, undefined, 'ping')).toEqual({ kind: 'allowed' });
  });

  it('denies without a challenge, because no credentials could help', async () => {
    expect(await outcome({ anonymous: 'Pull' }, undefined, 'push')).toEqual({
      kind: 'denied',
      reason: 'anonymous clients may not push',
    });
  });
});

it('takes new rules at once', async () => {
  const policy = new AccessPolicy({ anonymous: 'PullPush', anonymousDelete: false }, PASSWORDS);

  policy.replace({ anonymous: 'Pull', anonymousDelete: false });

  expect(await policy.authorize(undefined, 'push', CALLER)).toMatchObject({ kind: 'denied' });
});
