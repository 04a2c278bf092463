import type { ResourceKind } from './types.ts';

export interface PathOptions {
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly subresource?: string | undefined;
  /** Undefined values are left out. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
}

/** The folder of a group and version: `/api/v1` or `/apis/apps/v1`. */
export function groupVersionPath(apiVersion: string): string {
  return apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
}

/**
 * The path and query of a resource. A namespaced kind without a namespace means all namespaces, which only lists
 * and watches may ask for.
 */
export function resourcePath(kind: ResourceKind, options: PathOptions = {}): string {
  const { namespace, name, subresource } = options;
  const segments = [
    ...(kind.namespaced && namespace !== undefined ? ['namespaces', namespace] : []),
    kind.plural,
    ...(name === undefined ? [] : [name]),
    ...(subresource === undefined ? [] : [subresource]),
  ];
  const path = `${groupVersionPath(kind.apiVersion)}/${segments.map((part) => encodeURIComponent(part)).join('/')}`;
  const query = new URLSearchParams(
    Object.entries(options.query ?? {}).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, String(value)]],
    ),
  ).toString();
  return query === '' ? path : `${path}?${query}`;
}
