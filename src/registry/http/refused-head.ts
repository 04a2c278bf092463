import type { Socket } from 'node:net';

import type { LoggingConfig } from '../../api/registry-config.ts';
import type { Logger } from '../../shared/logger.ts';
import type { RegistryMetrics } from '../metrics.ts';
import { UNMATCHED } from './router.ts';

/** The begin of a request of which nothing can be known, because it is no HTTP, too long or too slow. */
export interface RefusedHead {
  /** 400, 408 or 431. */
  readonly status: number;
  readonly socket: Pick<Socket, 'remoteAddress'>;
}

/** Counts and logs it like other requests that fail. */
export function tellOfRefusedHead(
  { status, socket }: RefusedHead,
  metrics: RegistryMetrics,
  requests: LoggingConfig['requests'],
  logger: Logger,
): void {
  const ofNothing = { handler: UNMATCHED, method: 'other', seconds: 0, receivedBytes: 0, sentBytes: 0 };
  metrics.requestStarted(UNMATCHED);
  metrics.requestFinished({ ...ofNothing, status });
  if (status === 408) metrics.requestRefused('slow_head');
  if (status === 431) metrics.requestRefused('long_head');
  if (requests === 'None') return;
  logger.info({ status, remoteAddress: socket.remoteAddress, error: 'UNSUPPORTED' }, 'request');
}
