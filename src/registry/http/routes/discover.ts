import { REPOSITORY_EXTENSION } from '../path.ts';
import { respond } from '../respond.ts';
import type { Endpoint, Route } from '../router.ts';

/** What this registry offers beyond the specification. */
const EXTENSIONS = [
  {
    name: '_oci',
    url: 'https://github.com/opencontainers/distribution-spec/blob/main/extensions/_oci.md',
    description: 'Tells which extensions a registry has.',
    endpoints: ['_oci/ext/discover'],
  },
  {
    name: '_catalog',
    url: 'https://distribution.github.io/distribution/spec/api/#listing-repositories',
    description: 'Lists the repositories of the registry, with n and last.',
    endpoints: ['_catalog'],
  },
  {
    name: '_registry-operator',
    url: 'https://github.com/registry-operator/registry-operator/blob/main/docs/operations.md',
    description: 'DELETE removes a whole repository.',
    endpoints: [REPOSITORY_EXTENSION],
  },
];

/** `/v2/_oci/ext/discover` (OCI dist-spec, extensions, "_oci"). */
export function discoverEndpoint(): Endpoint<'discover'> {
  const route: Route<'discover'> = {
    action: 'catalog',
    handle: async (exchange) => respond(exchange, { status: 200, body: { extensions: EXTENSIONS } }),
  };
  return new Map([
    ['GET', route],
    ['HEAD', route],
  ]);
}
