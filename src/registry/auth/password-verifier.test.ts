import { hashSync } from 'bcryptjs';
import { afterAll, describe, expect, it, test } from 'vitest';

import { PasswordVerifier, TooManyLogins } from './password-verifier.ts';

const verifier = new PasswordVerifier();
afterAll(() => verifier.close());

describe('PasswordVerifier', () => {
  test.each(['$2a$', '$2b$', '$2y$'])('knows hashes of the kind %s', async (kind) => {
    const hash = kind + hashSync('pässwörd:1', 4).slice(4);

    expect(await verifier.matches('pässwörd:1', hash)).toBe(true);
    expect(await verifier.matches('passwort', hash)).toBe(false);
  });

  it('compares the first 72 bytes only, as bcrypt does everywhere', async () => {
    const hash = hashSync('x'.repeat(72), 4);

    expect(await verifier.matches(`${'x'.repeat(72)}tail`, hash)).toBe(true);
  });

  it('takes on a bounded number of checks', async () => {
    const hash = hashSync('right', 4);
    const checks = Array.from({ length: 100 }, () => verifier.matches('right', hash));

    const results = await Promise.allSettled(checks);

    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused).toHaveLength(100 - 66);
    expect(refused[0]?.reason).toBeInstanceOf(TooManyLogins);
    expect(await verifier.matches('right', hash)).toBe(true);
  });

  it('fails checks that are waiting when it is closed', async () => {
    const closing = new PasswordVerifier();
    const check = closing.matches('x', hashSync('x', 10));

    await Promise.all([closing.close(), expect(check).rejects.toThrow('closed')]);
    await expect(closing.matches('x', 'y')).rejects.toThrow('closed');
  });
});
