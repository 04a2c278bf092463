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
  readonly externalUrl: URL | undefined;
  /** Peers whose forwarding headers count. */
  readonly trustedProxies: BlockList;
  /** Text for a `Warning` header of every answer. */
  readonly warning: string | undefined;
  readonly deleteEnabled: boolean;
  readonly allowSparse: boolean;
  readonly limits: LimitsConfig;
}

export function httpSettings(config: RegistryConfig): HttpSettings {
  const { http, logging, limits, manifests } = config;
  const externalUrl = http.externalURL === undefined ? undefined : new URL(http.externalURL);
  const names = [...http.hosts, ...(externalUrl ? [externalUrl.host] : [])];
  return {
    requests: logging.requests,
    hosts: new Set(names.map((host) => normalizeHost(host))),
    externalUrl,
    trustedProxies: networks(http.trustedProxies),
    warning: http.warning,
    deleteEnabled: config.delete.enabled,
    allowSparse: manifests.allowSparse,
    limits,
  };
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
