import type { RegistryMetrics } from '../../metrics.ts';
import type { Exchange } from '../exchange.ts';
import type { FinishedExchange } from '../finished.ts';
import { UNMATCHED } from '../router.ts';

/** Methods that may become a label; a client can send many others. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

export function countStart({ match }: Exchange, metrics: RegistryMetrics): void {
  metrics.requestStarted(match?.label ?? UNMATCHED);
}

export function countEnd(finished: FinishedExchange, metrics: RegistryMetrics): void {
  const { exchange, status, sentBytes, milliseconds } = finished;
  if (exchange.refusal) metrics.requestRefused(exchange.refusal);
  metrics.requestFinished({
    handler: exchange.match?.label ?? UNMATCHED,
    method: METHODS.has(exchange.method) ? exchange.method : 'other',
    status,
    seconds: milliseconds / 1000,
    receivedBytes: exchange.receivedBytes,
    sentBytes,
  });
}
