import {
  array,
  assert,
  asyncProperty,
  constantFrom,
  dictionary,
  nat,
  oneof,
  property,
  string,
  stringMatching,
  tuple,
} from 'fast-check';
import { describe, expect, it } from 'vitest';

import { HtpasswdAuthenticator, HtpasswdInvalid } from './htpasswd.ts';

const CALLER = { clientKey: 'address:192.0.2.1', signal: new AbortController().signal };

const HASH = tuple(
  constantFrom('2a', '2b', '2y'),
  constantFrom('04', '10', '31'),
  stringMatching(/^[./A-Za-z0-9]{53}$/),
).map(([kind, cost, rest]) => `$${kind}$${cost}$${rest}`);
/** Lines are trimmed, and a hash sign begins a comment. */
const LINE_USER = stringMatching(/^[A-Za-z0-9@._+-]{1,12}$/);

/** Tells what hash a user has: the verifier compares the "password" with it as text. */
function setUp(): HtpasswdAuthenticator {
  return new HtpasswdAuthenticator({
    verifier: { matches: (password, hash) => Promise.resolve(password === hash) },
    clock: { now: () => new Date(0), monotonic: () => 0, sleep: () => Promise.resolve() },
    cacheKey: new Uint8Array(32),
  });
}

describe('files of users', () => {
  it('let in exactly the users that they name, by the last line that names them', async () => {
    const lines = array(tuple(LINE_USER, HASH), { maxLength: 10 });
    const filling = constantFrom('', '\n', '# comment\n', '  \t\n');
    const ending = constantFrom('\n', '\r\n', ' \n');
    await assert(
      asyncProperty(lines, filling, ending, LINE_USER, async (entries, fill, end, stranger) => {
        const htpasswd = setUp();
        const text = entries.map(([user, hash]) => `${fill}${user}:${hash}${end}`).join('');
        htpasswd.replace([{ path: '/users', text }]);
        const users = new Map(entries);

        for (const [username, password] of entries) {
          expect(await htpasswd.verify({ username, password }, CALLER)).toBe(
            users.get(username) === password,
          );
        }
        const known = users.get(stranger);
        for (const [, password] of entries) {
          expect(await htpasswd.verify({ username: stranger, password }, CALLER)).toBe(known === password);
        }
      }),
    );
  });

  it('of any text are taken or refused by line, without quoting what may be a hash', () => {
    const secret = 'Zm9vYmFyU2VjcmV0';
    const piece = oneof(
      constantFrom('\n', '\r', ':', '#', '$2y$10$', secret, '\0', ' '),
      string({ maxLength: 5 }),
      HASH,
    );
    assert(
      property(array(piece, { maxLength: 20 }), nat({ max: 1 }), (pieces, more) => {
        const text = pieces.join('') + secret.repeat(more);
        let problem: unknown;
        try {
          setUp().replace([{ path: '/users', text }]);
        } catch (error) {
          problem = error;
        }
        const message = problem instanceof HtpasswdInvalid ? problem.message : '';

        expect(problem === undefined || problem instanceof HtpasswdInvalid).toBe(true);
        expect(message).not.toContain(secret);
        expect(message).toMatch(/^(?:\/users:\d+: [\x20-\x7e]+)?$/);
      }),
      { numRuns: 500 },
    );
  });

  it('that name a user like a member of every object name just that', async () => {
    await assert(
      asyncProperty(dictionary(constantFrom('__proto__', 'constructor', 'toString'), HASH), async (users) => {
        const htpasswd = setUp();
        const entries = Object.entries(users);
        htpasswd.replace([
          { path: '/users', text: entries.map(([user, hash]) => `${user}:${hash}\n`).join('') },
        ]);

        for (const username of ['__proto__', 'constructor', 'toString']) {
          expect(await htpasswd.verify({ username, password: 'x' }, CALLER)).toBe(false);
        }
      }),
    );
  });
});
