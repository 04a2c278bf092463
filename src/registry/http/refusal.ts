import { DistributionError } from '../distribution/errors.ts';
import type { Refusal } from '../metrics.ts';
import type { Exchange } from './exchange.ts';

export interface RefusalDetails {
  readonly refusal: Refusal;
  /** For the client; names the limit. */
  readonly message: string;
  /** Seconds after which another try makes sense; rounded up. */
  readonly retryAfter: number;
}

/** 429 with `Retry-After`: one client takes too much. */
export function tooManyRequests(exchange: Exchange, details: RefusalDetails): DistributionError {
  return refuse(exchange, 'TOOMANYREQUESTS', details);
}

/** 503 with `Retry-After`: all clients together take too much. */
export function unavailable(exchange: Exchange, details: RefusalDetails): DistributionError {
  return refuse(exchange, 'UNAVAILABLE', details);
}

function refuse(
  exchange: Exchange,
  code: 'TOOMANYREQUESTS' | 'UNAVAILABLE',
  { refusal, message, retryAfter }: RefusalDetails,
): DistributionError {
  exchange.refusal = refusal;
  exchange.reply.header('retry-after', Math.max(1, Math.ceil(retryAfter)));
  return new DistributionError(code, { message });
}
