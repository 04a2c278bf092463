import type { AuthConfig } from '../../api/registry-config.ts';
import { anonymousMay } from './anonymous.ts';
import { basicChallenge, isEmptyBasic, parseBasic } from './challenge.ts';
import type { Action, Authenticator, Caller, Outcome } from './types.ts';

/**
 * Decides whether a request may go on.
 *
 * Credentials that are sent are always checked: wrong ones are refused even where clients without any could go
 * on, because a client with a typing error must hear of it. Without a method to check them they are ignored,
 * since clients send what they have stored for a host.
 */
export class AccessPolicy {
  readonly #passwords: Authenticator;
  #config: AuthConfig;

  constructor(config: AuthConfig, passwords: Authenticator) {
    this.#config = config;
    this.#passwords = passwords;
  }

  /** Takes effect for the next request. */
  replace(config: AuthConfig): void {
    this.#config = config;
  }

  /**
   * @param authorization value of the `Authorization` header
   * @throws TooManyLogins when too many passwords are being checked, and the reason of the signal of the caller
   */
  async authorize(authorization: string | undefined, action: Action, caller: Caller): Promise<Outcome> {
    const config = this.#config;
    if (!config.basic) return anonymousOutcome(config, action);
    if (authorization === undefined || isEmptyBasic(authorization)) return anonymousOutcome(config, action);
    const challenge = basicChallenge(config.basic.realm);
    const credentials = parseBasic(authorization);
    if (!credentials) return { kind: 'challenged', challenge, reason: 'credentials cannot be read' };
    if (!(await this.#passwords.verify(credentials, caller))) {
      return { kind: 'challenged', challenge, reason: 'user name or password is wrong' };
    }
    return { kind: 'allowed', user: credentials.username };
  }
}

function anonymousOutcome(config: AuthConfig, action: Action): Outcome {
  if (anonymousMay(config, action)) return { kind: 'allowed' };
  if (!config.basic) return { kind: 'denied', reason: `anonymous clients may not ${VERBS[action]}` };
  return {
    kind: 'challenged',
    challenge: basicChallenge(config.basic.realm),
    reason: 'authentication required',
  };
}

const VERBS: Readonly<Record<Action, string>> = {
  ping: 'use this registry',
  pull: 'pull',
  push: 'push',
  delete: 'delete',
  catalog: 'list repositories',
};
