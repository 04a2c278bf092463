import type { FastifyError } from 'fastify';

import { errorCode, errorMessage } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { DistributionError, RangeInvalid, toDistributionError } from '../distribution/errors.ts';
import type { Exchange } from './exchange.ts';
import { uploadHeaders } from './headers.ts';
import { respond } from './respond.ts';
import { MethodNotAllowed } from './router.ts';

/** What a client that meets 429 or 503 is asked to wait, unless more is known. */
const RETRY_AFTER_SECONDS = 1;

/** Answers with an error, in the form of the OCI dist-spec ("Error Codes"). */
export function sendError(exchange: Exchange, thrown: unknown, logger: Logger): void {
  if (exchange.clientGone || exchange.response.headersSent) {
    exchange.failure ??= thrown;
    exchange.response.destroy();
    return;
  }
  const error = isFastifyError(thrown) ? fromFastify(thrown) : toDistributionError(thrown);
  if (error.status >= 500) logFailure(exchange, error, logger);
  exchange.failure = error;
  respond(exchange, { status: error.status, headers: errorHeaders(exchange, error), body: errorBody(error) });
}

/** The body of an error answer. */
export function errorBody({ code, message, detail }: DistributionError): object {
  return { errors: [{ code, message, ...(detail === undefined ? {} : { detail }) }] };
}

function errorHeaders(exchange: Exchange, error: DistributionError): Record<string, string> {
  if (error instanceof RangeInvalid) return uploadHeaders(exchange, error.upload);
  if (error instanceof MethodNotAllowed) return { allow: error.allowed.join(', ') };
  const temporary = error.status === 429 || error.status === 503;
  if (temporary && !exchange.reply.hasHeader('retry-after'))
    return { 'retry-after': String(RETRY_AFTER_SECONDS) };
  return {};
}

function logFailure({ id, method, path }: Exchange, error: DistributionError, logger: Logger): void {
  const { cause } = error;
  const known = cause === undefined ? error : cause;
  const fields = {
    requestId: id,
    method,
    path,
    code: error.code,
    cause: errorMessage(known),
    causeCode: errorCode(known),
    // An expected failure is told by its message; only for an unknown one the place matters.
    ...(error.code === 'UNKNOWN' && known instanceof Error ? { stack: known.stack } : {}),
  };
  if (error.code === 'UNAVAILABLE') logger.warn(fields, 'request failed');
  else logger.error(fields, 'request failed');
}

function isFastifyError(error: unknown): error is FastifyError {
  return error instanceof Error && (errorCode(error)?.startsWith('FST_') ?? false);
}

/** Refusals of the framework: malformed escapes in the path, malformed Content-Type. */
function fromFastify(error: FastifyError): DistributionError {
  const status = error.statusCode ?? 500;
  if (status >= 500) return new DistributionError('UNKNOWN', { cause: error });
  if (status === 415) {
    return new DistributionError('UNSUPPORTED', { status, message: 'invalid Content-Type', cause: error });
  }
  return new DistributionError('NAME_INVALID', { status, message: 'invalid request path', cause: error });
}
