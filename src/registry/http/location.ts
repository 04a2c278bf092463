import type { Exchange } from './exchange.ts';
import { normalizeHost } from './namespace.ts';
import type { HttpSettings } from './settings.ts';

/**
 * A path of this registry as it stands in `Location` and `Link`: relative, which is right behind every proxy, or
 * below the external URL for a request that came by its host. Nothing of it is taken over from the request.
 *
 * @param path absolute, beginning with `/v2/`
 */
export function locationOf({ baseUrl }: Pick<Exchange, 'baseUrl'>, path: string): string {
  return baseUrl + path;
}

/** What goes before the paths of an answer; empty unless the request came by the host of the external URL. */
export function baseUrlOf(
  hosts: readonly (string | undefined)[],
  external: HttpSettings['external'],
): string {
  if (!external) return '';
  const isExternal = hosts.some((host) => host !== undefined && normalizeHost(host) === external.host);
  return isExternal ? external.baseUrl : '';
}
