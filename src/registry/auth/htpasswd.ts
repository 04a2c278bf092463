import { createHmac } from 'node:crypto';

import type { Clock } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';
import type { PasswordVerifier } from './password-verifier.ts';
import { PendingCheck } from './pending-check.ts';
import type { Authenticator, Caller, Credentials } from './types.ts';

/** How long a password that was right stays right without another check. */
const CACHE_MS = 5 * 60_000;
const CACHE_SIZE = 1000;

/** A file of users; `path` is for messages. */
export interface HtpasswdFile {
  readonly path: string;
  readonly text: string;
}

/** Lines that cannot be used; each problem is `path:line: text` and never quotes a hash. */
export class HtpasswdInvalid extends AppError {
  override readonly name = 'HtpasswdInvalid';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super('HTPASSWD_INVALID', problems.join('; '));
    this.problems = problems;
  }
}

export interface HtpasswdDependencies {
  readonly verifier: Pick<PasswordVerifier, 'matches'>;
  readonly clock: Clock;
  /** Random key of this process, for the names of cached credentials. */
  readonly cacheKey: Uint8Array;
}

/**
 * Users and bcrypt hashes in the format of Apache's `htpasswd -B`.
 *
 * A right password is remembered for a few minutes by its HMAC, so that the requests of one push cost one
 * check; a new set of users forgets all of them. A user that does not exist costs a check as well.
 */
export class HtpasswdAuthenticator implements Authenticator {
  readonly #verifier: Pick<PasswordVerifier, 'matches'>;
  readonly #clock: Clock;
  readonly #cacheKey: Uint8Array;
  #users: ReadonlyMap<string, string> = new Map();
  #dummyHash = dummyHash(new Map());
  /** What `#users` was made from. */
  #source = '';
  /** When remembered credentials expire, on the monotonic clock, by their HMAC. */
  #remembered = new Map<string, number>();
  /** Checks that are under way, by the HMAC of the credentials. */
  #pending = new Map<string, PendingCheck>();

  constructor({ verifier, clock, cacheKey }: HtpasswdDependencies) {
    this.#verifier = verifier;
    this.#clock = clock;
    this.#cacheKey = cacheKey;
  }

  /**
   * Takes over the users of these files; where several name a user, the last one counts. Files that say what they
   * said before change nothing.
   *
   * @throws HtpasswdInvalid when a line cannot be used; the users stay as they were
   */
  replace(files: readonly HtpasswdFile[]): void {
    const source = JSON.stringify(files);
    if (source === this.#source) return;
    const users = parseFiles(files);
    this.#source = source;
    this.#users = users;
    this.#dummyHash = dummyHash(users);
    this.#remembered = new Map();
    this.#pending = new Map();
  }

  async verify(credentials: Credentials, caller: Caller): Promise<boolean> {
    const key = this.#nameOf(credentials);
    const expires = this.#remembered.get(key);
    if (expires !== undefined && expires > this.#clock.monotonic()) return true;
    const check = this.#pending.get(key) ?? this.#begin(credentials, key, caller.clientKey);
    return check.outcomeFor(caller.signal);
  }

  #begin(credentials: Credentials, key: string, clientKey: string): PendingCheck {
    const pending = this.#pending;
    const check = new PendingCheck(
      (signal) => this.#check(credentials, key, { clientKey, signal }),
      () => {
        // Another one may have come after this was given up.
        if (pending.get(key) === check) pending.delete(key);
      },
    );
    pending.set(key, check);
    return check;
  }

  async #check({ username, password }: Credentials, key: string, caller: Caller): Promise<boolean> {
    const hash = this.#users.get(username);
    const remembered = this.#remembered;
    const matches = await this.#verifier.matches(password, hash ?? this.#dummyHash, caller);
    if (hash === undefined || !matches) return false;
    // A set of users that came meanwhile has another map, in which this answer does not count.
    remember(remembered, key, this.#clock.monotonic() + CACHE_MS);
    return true;
  }

  #nameOf({ username, password }: Credentials): string {
    return createHmac('sha256', this.#cacheKey).update(`${username}:${password}`).digest('base64');
  }
}

function remember(cache: Map<string, number>, key: string, expires: number): void {
  cache.delete(key);
  if (cache.size >= CACHE_SIZE) {
    const oldest = cache.keys().next().value;
    if (oldest !== undefined) cache.delete(oldest);
  }
  cache.set(key, expires);
}

const BCRYPT = /^\$2[aby]\$(?<cost>0[4-9]|1\d|2\d|3[01])\$[./A-Za-z0-9]{53}$/;

function parseFiles(files: readonly HtpasswdFile[]): Map<string, string> {
  const users = new Map<string, string>();
  const problems: string[] = [];
  for (const { path, text } of files) {
    for (const [index, raw] of text.split('\n').entries()) {
      const line = raw.trim();
      if (line === '' || line.startsWith('#')) continue;
      const colon = line.indexOf(':');
      const hash = line.slice(colon + 1);
      const problem = colon < 1 ? 'is not USER:HASH' : problemOfHash(hash);
      if (problem === undefined) users.set(line.slice(0, colon), hash);
      else problems.push(`${path}:${index + 1}: ${problem}`);
    }
  }
  if (problems.length > 0) throw new HtpasswdInvalid(problems);
  return users;
}

function problemOfHash(hash: string): string | undefined {
  if (BCRYPT.test(hash)) return undefined;
  return 'is not a bcrypt hash ($2a$, $2b$ or $2y$); make the line with htpasswd -B';
}

/** A hash that no password has, as expensive as the hash that most users have. */
function dummyHash(users: ReadonlyMap<string, string>): string {
  const counts = new Map<string, number>();
  for (const hash of users.values()) {
    const cost = BCRYPT.exec(hash)?.groups?.['cost'] ?? DEFAULT_COST;
    counts.set(cost, (counts.get(cost) ?? 0) + 1);
  }
  const [most] = [...counts].toSorted(([, a], [, b]) => b - a);
  return `$2b$${most?.[0] ?? DEFAULT_COST}$${'.'.repeat(53)}`;
}

const DEFAULT_COST = '10';
