import { DistributionError } from '../distribution/errors.ts';
import type { Exchange } from './exchange.ts';

/**
 * Checks the query parameter `ns`, by which a client that goes through a mirror names the host that it means.
 * containerd sends it also to the registry itself whenever `hosts.toml` names another address for it.
 *
 * @param hosts further names of this registry, besides the one that the request came by
 * @throws DistributionError NAME_UNKNOWN when it names neither this registry nor one of `hosts`
 */
export function checkNamespace(exchange: Exchange, hosts: ReadonlySet<string>): void {
  const { forwardedHost, query, request } = exchange;
  const own = new Set([request.headers.host, forwardedHost].map((host) => normalizeHost(host ?? '')));
  for (const namespace of query.getAll('ns')) {
    const name = normalizeHost(namespace);
    if (name === '' || own.has(name) || hosts.has(name)) continue;
    throw new DistributionError('NAME_UNKNOWN', {
      message: 'this registry does not mirror the namespace',
      detail: { ns: namespace.slice(0, 256) },
    });
  }
}

/** Lower case, without a dot at the end and without the port that http or https has anyway. */
export function normalizeHost(text: string): string {
  return text
    .trim()
    .toLowerCase()
    .replace(/:(?:80|443)$/, '')
    .replace(/\.(?=:\d+$|$)/, '');
}
