import type { Action } from '../auth/types.ts';
import { DistributionError } from '../distribution/errors.ts';
import type { Exchange, Match } from './exchange.ts';
import type { TargetKind, TargetOf } from './path.ts';

/** Answers a request; the answer has been sent, or handed to fastify, when it resolves. */
export type Handler<K extends TargetKind> = (exchange: Exchange, target: TargetOf<K>) => Promise<void>;

/** One method of an endpoint. */
export interface Route<K extends TargetKind> {
  /** What the caller must be allowed to do. */
  readonly action: Action;
  readonly handle: Handler<K>;
}

/** An endpoint: its routes by HTTP method. */
export type Endpoint<K extends TargetKind> = ReadonlyMap<string, Route<K>>;

export type Endpoints = { readonly [K in TargetKind]: Endpoint<K> };

/** Label of requests that match nothing. */
export const UNMATCHED = 'unknown';

/** Names of the endpoints in the metrics; the same as distribution's. */
const LABELS: Readonly<Record<TargetKind, string>> = {
  base: 'base',
  catalog: 'catalog',
  blob: 'blob',
  uploads: 'blob_upload',
  upload: 'blob_upload_chunk',
  manifest: 'manifest',
  tags: 'tags',
  referrers: 'referrers',
  repository: 'repository',
  discover: 'discover',
};

/**
 * Finds the route of a request.
 *
 * @param deletes whether anything may be deleted; this is the one place that says no for every endpoint
 * @throws MethodNotAllowed
 */
export function match<K extends TargetKind>(
  endpoints: Endpoints,
  target: TargetOf<K>,
  method: string,
  deletes: boolean,
): Match {
  const endpoint = endpoints[target.kind];
  const route = endpoint.get(method);
  if (!route || (route.action === 'delete' && !deletes)) throw notAllowed(endpoint, route, deletes);
  return {
    label: LABELS[target.kind],
    action: route.action,
    run: (exchange) => route.handle(exchange, target),
  };
}

function notAllowed(
  endpoint: ReadonlyMap<string, { readonly action: Action }>,
  route: object | undefined,
  deletes: boolean,
): MethodNotAllowed {
  const allowed = [...endpoint].filter(([, { action }]) => deletes || action !== 'delete');
  return new MethodNotAllowed(
    allowed.map(([method]) => method),
    route ? 'deleting is switched off in this registry (delete.enabled)' : 'the method is not supported here',
  );
}

/** 405, with the methods that the endpoint has. */
export class MethodNotAllowed extends DistributionError {
  override readonly name = 'MethodNotAllowed';
  readonly allowed: readonly string[];

  constructor(allowed: readonly string[], message: string) {
    super('UNSUPPORTED', { message });
    this.allowed = allowed;
  }
}
