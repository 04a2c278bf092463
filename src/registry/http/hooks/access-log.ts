import type { LoggingConfig } from '../../../api/registry-config.ts';
import type { Logger } from '../../../shared/logger.ts';
import type { FinishedExchange } from '../finished.ts';

/** Longest text of a client in a log line, in characters. */
const MAX_TEXT = 256;

/** Writes one line for a request that has ended; credentials and the rest of its query are never in it. */
export function logAccess(
  { exchange, status, sentBytes, milliseconds, failure }: FinishedExchange,
  requests: LoggingConfig['requests'],
  logger: Logger,
): void {
  if (requests === 'None' || (requests === 'Failed' && status < 400)) return;
  const namespace = exchange.query.get('ns');
  logger.info(
    {
      requestId: exchange.id,
      method: exchange.method,
      path: clip(exchange.path, 1024),
      status,
      bytes: sentBytes,
      received: exchange.receivedBytes,
      durationMs: Math.round(milliseconds * 1000) / 1000,
      remoteAddress: exchange.clientAddress || undefined,
      user: exchange.user,
      userAgent: clip(exchange.request.headers['user-agent']),
      ns: namespace === null ? undefined : clip(namespace),
      error: failure,
    },
    'request',
  );
}

function clip(text: string | undefined, length = MAX_TEXT): string | undefined {
  return text === undefined || text.length <= length ? text : `${text.slice(0, length)}…`;
}
