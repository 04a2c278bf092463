import { DISCOVER_EXTENSION, REPOSITORY_EXTENSION } from '../path.ts';
import { respond } from '../respond.ts';
import type { Endpoint, Route } from '../router.ts';

interface Extension {
  /** As it stands in the path. */
  readonly name: string;
  /** Where it is documented. */
  readonly url: string;
  readonly description: string;
  /** Paths below `/v2/`, or below `/v2/<name>/` for an extension of repositories. */
  readonly endpoints: readonly string[];
}

const DISCOVER: Extension = {
  name: '_oci',
  url: 'https://github.com/opencontainers/distribution-spec/blob/main/extensions/_oci.md',
  description: 'Tells which extensions a registry has.',
  endpoints: [DISCOVER_EXTENSION],
};
const CATALOG: Extension = {
  name: '_catalog',
  url: 'https://distribution.github.io/distribution/spec/api/#listing-repositories',
  description: 'Lists the repositories of the registry, with n and last.',
  endpoints: ['_catalog'],
};
const REPOSITORY: Extension = {
  name: '_registry-operator',
  url: 'https://github.com/registry-operator/registry-operator/blob/main/docs/operations.md',
  description: 'DELETE removes a whole repository.',
  endpoints: [REPOSITORY_EXTENSION],
};

/**
 * `/v2/_oci/ext/discover` and `/v2/<name>/_oci/ext/discover` (OCI dist-spec, extensions, "_oci"): what this
 * registry, or each of its repositories, offers beyond the specification.
 *
 * @param deletes whether anything may be deleted, as it is now
 */
export function discoverEndpoint(deletes: () => boolean): Endpoint<'discover'> {
  const route: Route<'discover'> = {
    action: 'catalog',
    handle: async (exchange, { repository }) => {
      const always = repository === undefined ? [DISCOVER, CATALOG] : [DISCOVER];
      const extensions = deletes() ? [...always, REPOSITORY] : always;
      respond(exchange, { status: 200, body: { extensions } });
    },
  };
  return new Map([
    ['GET', route],
    ['HEAD', route],
  ]);
}
