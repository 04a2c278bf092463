import { errorMessage } from '../../shared/errors.ts';
import { DistributionError } from '../distribution/errors.ts';
import { ClientGone, type Exchange } from './exchange.ts';

/** What is known of a request when it has ended; for the log and the metrics. */
export interface FinishedExchange {
  readonly exchange: Exchange;
  /** As sent; 499 when the client left before the answer ended. */
  readonly status: number;
  /** Bytes of the body of the answer. */
  readonly sentBytes: number;
  readonly milliseconds: number;
  /** Why it failed: an error code for a refusal, else the message. */
  readonly failure: string | undefined;
}

/** @param now milliseconds on the monotonic clock */
export function finish(exchange: Exchange, now: number): FinishedExchange {
  const whole = exchange.response.writableFinished;
  return {
    exchange,
    status: whole ? exchange.response.statusCode : brokenStatus(exchange),
    sentBytes: exchange.sentBytes,
    milliseconds: now - exchange.startedAt,
    failure: failureText(exchange.failure),
  };
}

/** A stream that the storage broke keeps its status; only a client that has left gets 499. */
function brokenStatus({ failure, response }: Exchange): number {
  const ours = failure !== undefined && !(failure instanceof ClientGone) && response.headersSent;
  return ours ? response.statusCode : 499;
}

function failureText(failure: unknown): string | undefined {
  if (failure === undefined) return undefined;
  return failure instanceof DistributionError ? failure.code : errorMessage(failure);
}
