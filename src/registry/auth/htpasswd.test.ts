import { describe, expect, it, test } from 'vitest';

import { HtpasswdAuthenticator, HtpasswdInvalid } from './htpasswd.ts';
import type { Caller } from './types.ts';

const CALLER = { clientKey: 'address:192.0.2.1', signal: new AbortController().signal };

/** `$2b$05$` and 53 characters; the fake verifier below takes the last one as the password. */
function hashFor(password: string, cost = '05'): string {
  return `$2b$${cost}$${'x'.repeat(52)}${password}`;
}

class FakeVerifier {
  readonly hashes: string[] = [];
  readonly callers: Caller[] = [];
  release: Promise<void> = Promise.resolve();

  async matches(password: string, hash: string, caller: Caller): Promise<boolean> {
    this.callers.push(caller);
    this.hashes.push(hash);
    await this.release;
    return hash.endsWith(password);
  }
}

function setUp() {
  let now = 0;
  const clock = { now: () => new Date(now), monotonic: () => now, sleep: () => Promise.resolve() };
  const verifier = new FakeVerifier();
  const htpasswd = new HtpasswdAuthenticator({ verifier, clock, cacheKey: new Uint8Array(32) });
  const replace = (text: string) => htpasswd.replace([{ path: '/users', text }]);
  const advance = (ms: number) => {
    now += ms;
  };
  return { verifier, htpasswd, replace, advance };
}

describe('HtpasswdAuthenticator', () => {
  it('checks passwords against the hash of the user', async () => {
    const { htpasswd, replace } = setUp();
    replace(`# users\n\nada:${hashFor('a')}\r\nbob:${hashFor('b')}\n`);

    expect(await htpasswd.verify({ username: 'ada', password: 'a' }, CALLER)).toBe(true);
    expect(await htpasswd.verify({ username: 'ada', password: 'b' }, CALLER)).toBe(false);
    expect(await htpasswd.verify({ username: 'bob', password: 'b' }, CALLER)).toBe(true);
  });

  it('remembers a right password for a few minutes, a wrong one never', async () => {
    const { verifier, htpasswd, replace, advance } = setUp();
    replace(`ada:${hashFor('a')}`);

    for (const password of ['a', 'a', 'b', 'b']) await htpasswd.verify({ username: 'ada', password }, CALLER);
    expect(verifier.hashes).toHaveLength(3);

    advance(10 * 60_000);
    await htpasswd.verify({ username: 'ada', password: 'a' }, CALLER);
    expect(verifier.hashes).toHaveLength(4);
  });

  it('checks the same credentials once when several requests bring them together', async () => {
    const { verifier, htpasswd, replace } = setUp();
    replace(`ada:${hashFor('a')}`);

    const answers = await Promise.all(
      Array.from({ length: 5 }, () => htpasswd.verify({ username: 'ada', password: 'a' }, CALLER)),
    );

    expect(answers).toEqual([true, true, true, true, true]);
    expect(verifier.hashes).toHaveLength(1);
  });

  it('gives up a check when everybody who waits for it has left', async () => {
    const { verifier, htpasswd, replace } = setUp();
    replace(`ada:${hashFor('a')}`);
    const { promise, resolve } = Promise.withResolvers<void>();
    verifier.release = promise;
    const [first, second] = [new AbortController(), new AbortController()];
    const verify = (client: AbortController) =>
      htpasswd.verify({ username: 'ada', password: 'a' }, { ...CALLER, signal: client.signal });
    const checks = Promise.allSettled([verify(first), verify(second)]);

    first.abort(new Error('left'));
    expect(verifier.callers[0]?.signal.aborted).toBe(false);
    second.abort(new Error('left'));
    expect(verifier.callers[0]?.signal.aborted).toBe(true);

    expect((await checks).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const next = verify(new AbortController());
    resolve();
    expect(await next).toBe(true);
    expect(verifier.hashes).toHaveLength(2);
  });

  it('forgets everything with a new set of users', async () => {
    const { htpasswd, replace } = setUp();
    replace(`ada:${hashFor('a')}`);
    await htpasswd.verify({ username: 'ada', password: 'a' }, CALLER);

    replace(`ada:${hashFor('n')}`);

    expect(await htpasswd.verify({ username: 'ada', password: 'a' }, CALLER)).toBe(false);
    expect(await htpasswd.verify({ username: 'ada', password: 'n' }, CALLER)).toBe(true);
  });

  it('does not remember an answer that is older than the users', async () => {
    const { verifier, htpasswd, replace } = setUp();
    replace(`ada:${hashFor('a')}`);
    const { promise, resolve } = Promise.withResolvers<void>();
    verifier.release = promise;
    const pending = htpasswd.verify({ username: 'ada', password: 'a' }, CALLER);

    replace(`bob:${hashFor('b')}`);
    resolve();
    await pending;

    expect(await htpasswd.verify({ username: 'ada', password: 'a' }, CALLER)).toBe(false);
  });

  it('keeps what it remembers when the files say the same again', async () => {
    const { verifier, htpasswd, replace } = setUp();
    replace(`ada:${hashFor('a')}`);
    await htpasswd.verify({ username: 'ada', password: 'a' }, CALLER);

    replace(`ada:${hashFor('a')}`);
    await htpasswd.verify({ username: 'ada', password: 'a' }, CALLER);

    expect(verifier.hashes).toHaveLength(1);
  });

  it('spends as much on unknown users as on most of the known ones', async () => {
    const { verifier, htpasswd, replace } = setUp();
    replace(`ada:${hashFor('a', '12')}\nbob:${hashFor('b', '05')}\neve:${hashFor('e', '05')}`);

    expect(await htpasswd.verify({ username: 'nobody', password: '.' }, CALLER)).toBe(false);

    expect(verifier.hashes[0]).toMatch(/^\$2b\$05\$\.{53}$/);
  });

  it('lets later files win', async () => {
    const { htpasswd } = setUp();
    htpasswd.replace([
      { path: '/1', text: `ada:${hashFor('a')}` },
      { path: '/2', text: `ada:${hashFor('z')}` },
    ]);

    expect(await htpasswd.verify({ username: 'ada', password: 'z' }, CALLER)).toBe(true);
  });

  test.each([
    ['no colon', '/users:2: is not USER:HASH'],
    [':$2y$05$x', '/users:2: is not USER:HASH'],
    ['eve:$apr1$abc$secretsecret', '/users:2: is not a bcrypt hash'],
    ['eve:{SHA}secretsecret', '/users:2: is not a bcrypt hash'],
    ['eve:$2y$03$' + 'x'.repeat(53), '/users:2: is not a bcrypt hash'],
  ])('refuses the line %s, names it, quotes no hash and keeps the users', async (line, problem) => {
    const { htpasswd, replace } = setUp();
    replace(`ada:${hashFor('a')}`);

    expect(() => replace(`bob:${hashFor('b')}\n${line}`)).toThrow(HtpasswdInvalid);
    expect(() => replace(`bob:${hashFor('b')}\n${line}`)).toThrow(problem);
    expect(() => replace(`bob:${hashFor('b')}\n${line}`)).not.toThrow(/secretsecret/);
    expect(await htpasswd.verify({ username: 'ada', password: 'a' }, CALLER)).toBe(true);
  });
});
