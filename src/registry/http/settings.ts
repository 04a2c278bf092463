import { BlockList, isIPv6 } from 'node:net';

import type { LimitsConfig, LoggingConfig, RegistryConfig } from '../../api/registry-config.ts';
import { normalizeHost } from './namespace.ts';

/** What the configuration says about requests, and what a running server takes over when it changes. */
export interface HttpSettings {
  /** Which requests are logged. */
  readonly requests: LoggingConfig['requests'];
  /** Names of this registry besides the Host of a request, as `normalizeHost` makes them. */
  readonly hosts: ReadonlySet<string>;
  /** How clients outside reach this registry. */
  readonly external: ExternalUrl | undefined;
  /** Peers whose forwarding headers count. */
  readonly trustedProxies: BlockList;
  /** Text for a `Warning` header of every answer. */
  readonly warning: string | undefined;
  readonly deleteEnabled: boolean;
  readonly allowSparse: boolean;
  readonly limits: LimitsConfig;
}

interface ExternalUrl {
  /** As `normalizeHost` makes it. */
  readonly host: string;
  /** Scheme, host and path, without a slash at the end. */
  readonly baseUrl: string;
}

export function httpSettings(config: RegistryConfig): HttpSettings {
  const { http, logging, limits, manifests } = config;
  const external = externalUrl(http.externalURL);
  return {
    requests: logging.requests,
    hosts: new Set([...http.hosts.map((host) => normalizeHost(host)), ...(external ? [external.host] : [])]),
    external,
    trustedProxies: networks(http.trustedProxies),
    warning: http.warning,
    deleteEnabled: config.delete.enabled,
    allowSparse: manifests.allowSparse,
    limits,
  };
}

function externalUrl(text: string | undefined): ExternalUrl | undefined {
  if (text === undefined) return undefined;
  const { host, origin, pathname } = new URL(text);
  return { host: normalizeHost(host), baseUrl: `${origin}${pathname.replace(/\/+$/, '')}` };
}

function networks(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = '', prefix] = entry.split('/');
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return list;
}
