import type { FastifyReply, FastifyRequest } from 'fastify';

import type { LimitsConfig } from '../../../api/registry-config.ts';
import { DistributionError } from '../../distribution/errors.ts';
import { Exchange } from '../exchange.ts';
import { originOf } from '../forwarded.ts';
import { checkHead } from '../head-check.ts';
import { addWarning } from '../headers.ts';
import type { LargeBodies } from '../large-bodies.ts';
import { baseUrlOf } from '../location.ts';
import { parseTarget } from '../path.ts';
import { match, type Endpoints } from '../router.ts';
import type { HttpSettings } from '../settings.ts';

export interface BeginDependencies {
  /** Makes request ids. */
  readonly newId: () => string;
  /** Milliseconds on the monotonic clock. */
  readonly monotonic: () => number;
  readonly limits: LimitsConfig;
  readonly bodies: LargeBodies;
}

/**
 * Tells who is at the other end, behind proxies that are trusted, and by which name it came; and gives the answer
 * what the configuration wants in every one.
 */
export function introduce(exchange: Exchange, settings: HttpSettings): void {
  const { headers } = exchange.request;
  const { client, host } = originOf(exchange.clientAddress, headers, settings.trustedProxies);
  exchange.clientAddress = client;
  exchange.forwardedHost = host;
  exchange.baseUrl = baseUrlOf([headers.host, host], settings.external);
  if (settings.warning !== undefined) addWarning(exchange, settings.warning);
}

/**
 * Nothing that comes after an unclear head on its connection is taken for a request.
 *
 * @throws DistributionError UNSUPPORTED with status 400
 */
export function refuseUnclearHead({ request, response }: Exchange): void {
  try {
    checkHead(request);
  } catch (error) {
    response.shouldKeepAlive = false;
    throw error;
  }
}

export interface MatchDependencies {
  readonly endpoints: Endpoints;
  readonly settings: () => HttpSettings;
}

/** An id that a proxy in front may have given; anything else could forge log lines or be used to flood them. */
const SANE_ID = /^[A-Za-z0-9._:=+/-]{1,64}$/;

/** Begins the exchange of a request, so that every other hook and the error handler find it. */
export function beginExchange(
  request: FastifyRequest,
  reply: FastifyReply,
  { newId, monotonic, limits, bodies }: BeginDependencies,
): Exchange {
  const given = request.headers['x-request-id'];
  const id = typeof given === 'string' && SANE_ID.test(given) ? given : newId();
  const exchange = new Exchange(request, reply, { id, startedAt: monotonic(), limits, bodies });
  request.exchange = exchange;
  reply.header('docker-distribution-api-version', 'registry/2.0').header('x-request-id', id);
  return exchange;
}

/**
 * Finds out what a request wants.
 *
 * One that still comes while the server is stopping is answered like any other, since a client in the middle of a
 * push may take a refusal for the end of it; see `connections.ts`.
 *
 * @throws DistributionError UNSUPPORTED with status 400, 404 or 405, and those of `parseTarget`
 */
export function matchExchange(exchange: Exchange, dependencies: MatchDependencies): void {
  refuseUnclearHead(exchange);
  const target = parseTarget(exchange.request.url ?? '/');
  if (!target) throw new DistributionError('UNSUPPORTED', { status: 404, message: 'no such endpoint' });
  const { deleteEnabled } = dependencies.settings();
  exchange.match = match(dependencies.endpoints, target, exchange.method, deleteEnabled);
}
