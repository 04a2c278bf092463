import { TooManyLogins } from '../../auth/password-verifier.ts';
import type { AccessPolicy } from '../../auth/policy.ts';
import type { Action, Outcome } from '../../auth/types.ts';
import { DistributionError } from '../../distribution/errors.ts';
import type { Exchange } from '../exchange.ts';
import { tooManyRequests } from '../refusal.ts';

/** Roughly what a full queue of password checks takes, in seconds. */
const RETRY_AFTER_SECONDS = 3;

/**
 * Lets a request go on, or refuses it before its body is read.
 *
 * @throws DistributionError UNAUTHORIZED with a challenge, DENIED, TOOMANYREQUESTS
 */
export async function authorize(exchange: Exchange, action: Action, policy: AccessPolicy): Promise<void> {
  const outcome = await decide(exchange, action, policy);
  switch (outcome.kind) {
    case 'allowed':
      exchange.user = outcome.user;
      return;
    case 'challenged':
      exchange.reply.header('www-authenticate', outcome.challenge);
      throw new DistributionError('UNAUTHORIZED', { message: outcome.reason });
    case 'denied':
      throw new DistributionError('DENIED', { message: outcome.reason });
  }
}

async function decide(exchange: Exchange, action: Action, policy: AccessPolicy): Promise<Outcome> {
  try {
    return await policy.authorize(exchange.request.headers.authorization, action, exchange);
  } catch (error) {
    if (!(error instanceof TooManyLogins)) throw error;
    throw tooManyRequests(exchange, {
      refusal: 'logins',
      message: error.message,
      retryAfter: RETRY_AFTER_SECONDS,
    });
  }
}
