import { readList, readText } from '../read.ts';

/** Names of the objects that users have made and a Registry refers to. */
export interface References {
  readonly secrets: readonly string[];
  readonly configMaps: readonly string[];
  readonly claims: readonly string[];
}

/**
 * Reads them from a Registry as it comes from the API server: an index has to work for objects, too, that are
 * not valid.
 */
export function referencesOf(registry: unknown): References {
  const htpasswd = readList(registry, 'spec', 'auth', 'basic', 'htpasswdSecretRefs');
  const s3 = ['spec', 'storage', 's3'];
  const caBundle = readText(registry, ...s3, 'caBundleRef', 'name');
  const caInSecret = readText(registry, ...s3, 'caBundleRef', 'kind') === 'Secret';
  const secrets = [
    readText(registry, 'spec', 'tls', 'secretRef', 'name'),
    readText(registry, ...s3, 'credentialsSecretRef', 'name'),
    caInSecret ? caBundle : undefined,
    ...htpasswd.map((reference) => readText(reference, 'name')),
  ];
  return {
    secrets: distinct(secrets),
    configMaps: distinct([caInSecret ? undefined : caBundle]),
    claims: distinct([readText(registry, 'spec', 'storage', 'filesystem', 'existingClaim', 'name')]),
  };
}

function distinct(names: readonly (string | undefined)[]): string[] {
  return [...new Set(names)].filter((name) => name !== undefined);
}
