import { unreachable } from '../../shared/assert.ts';
import type { Action } from '../auth/types.ts';
import { DistributionError } from '../distribution/errors.ts';
import type { Exchange, Match } from './exchange.ts';
import type { Target, TargetKind, TargetOf } from './path.ts';

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
 * @throws MethodNotAllowed
 */
export function match(endpoints: Endpoints, target: Target, method: string): Match {
  switch (target.kind) {
    case 'base':
      return bind(endpoints.base, target, method);
    case 'catalog':
      return bind(endpoints.catalog, target, method);
    case 'blob':
      return bind(endpoints.blob, target, method);
    case 'uploads':
      return bind(endpoints.uploads, target, method);
    case 'upload':
      return bind(endpoints.upload, target, method);
    case 'manifest':
      return bind(endpoints.manifest, target, method);
    case 'tags':
      return bind(endpoints.tags, target, method);
    case 'referrers':
      return bind(endpoints.referrers, target, method);
    case 'repository':
      return bind(endpoints.repository, target, method);
    case 'discover':
      return bind(endpoints.discover, target, method);
    default:
      return unreachable(target);
  }
}

function bind<K extends TargetKind>(endpoint: Endpoint<K>, target: TargetOf<K>, method: string): Match {
  const route = endpoint.get(method);
  if (!route) throw new MethodNotAllowed([...endpoint.keys()]);
  return {
    label: LABELS[target.kind],
    action: route.action,
    run: (exchange) => route.handle(exchange, target),
  };
}

/** 405, with the methods that the endpoint has. */
export class MethodNotAllowed extends DistributionError {
  override readonly name = 'MethodNotAllowed';
  readonly allowed: readonly string[];

  constructor(allowed: readonly string[]) {
    super('UNSUPPORTED', { message: 'the method is not supported here' });
    this.allowed = allowed;
  }
}
