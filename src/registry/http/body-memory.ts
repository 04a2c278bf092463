import type { DistributionError } from '../distribution/errors.ts';
import type { Exchange } from './exchange.ts';
import type { LargeBodies } from './large-bodies.ts';
import { unavailable } from './refusal.ts';

/** Longer than clients need that are not stalled. */
const RETRY_AFTER_SECONDS = 2;

/** 503: bodies of other requests take the memory. */
export function noMemory(exchange: Exchange, kind: keyof LargeBodies): DistributionError {
  const { limitBytes } = exchange.bodies[kind];
  return unavailable(exchange, {
    refusal: 'body_memory',
    message: `bodies of other requests take the ${limitBytes} bytes that long ones may (a quarter of http.bufferBytes)`,
    retryAfter: RETRY_AFTER_SECONDS,
  });
}
