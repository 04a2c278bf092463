import { hashSync } from 'bcryptjs';
import { afterAll, describe, expect, it, test } from 'vitest';

import { PasswordVerifier, TooManyLogins } from './password-verifier.ts';

const CALLER = { clientKey: 'address:192.0.2.1', signal: new AbortController().signal };
const verifier = new PasswordVerifier();
afterAll(() => verifier.close());

describe('PasswordVerifier', () => {
  test.each(['$2a$', '$2b$', '$2y$'])('knows hashes of the kind %s', async (kind) => {
    const hash = kind + hashSync('pässwörd:1', 4).slice(4);

    expect(await verifier.matches('pässwörd:1', hash, CALLER)).toBe(true);
    expect(await verifier.matches('passwort', hash, CALLER)).toBe(false);
  });

  it('compares the first 72 bytes only, as bcrypt does everywhere', async () => {
    const hash = hashSync('x'.repeat(72), 4);

    expect(await verifier.matches(`${'x'.repeat(72)}tail`, hash, CALLER)).toBe(true);
  });

  it('takes on a bounded number of checks', async () => {
    const hash = hashSync('right', 4);
    const checks = Array.from({ length: 100 }, () => verifier.matches('right', hash, CALLER));

    const results = await Promise.allSettled(checks);

    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused).toHaveLength(100 - 66);
    expect(refused[0]?.reason).toBeInstanceOf(TooManyLogins);
    expect(await verifier.matches('right', hash, CALLER)).toBe(true);
  });

  it('lets one client with more checks than it takes on keep no other from its own', async () => {
    const hash = hashSync('right', 4);
    const flood = Array.from({ length: 100 }, () => verifier.matches('wrong', hash, CALLER));
    const settled = Promise.allSettled(flood);

    const others = await Promise.all(
      ['192.0.2.2', '192.0.2.3'].map((clientKey) =>
        verifier.matches('right', hash, { ...CALLER, clientKey }),
      ),
    );

    expect(others).toEqual([true, true]);
    const refused = (await settled).filter(({ status }) => status === 'rejected');
    expect(refused).toHaveLength(100 - 66 + others.length);
  });

  it('drops a waiting check whose client has left', async () => {
    const hash = hashSync('right', 4);
    const client = new AbortController();
    const running = [1, 2].map(() => verifier.matches('right', hash, CALLER));
    const waiting = verifier.matches('right', hash, { ...CALLER, signal: client.signal });

    client.abort(new Error('left'));

    await expect(waiting).rejects.toThrow('left');
    expect(await Promise.all(running)).toEqual([true, true]);
  });

  it('fails checks that are waiting when it is closed', async () => {
    const closing = new PasswordVerifier();
    const check = closing.matches('x', hashSync('x', 10), CALLER);

    await Promise.all([closing.close(), expect(check).rejects.toThrow('closed')]);
    await expect(closing.matches('x', 'y', CALLER)).rejects.toThrow('closed');
  });
});
