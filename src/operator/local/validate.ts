import { parseRegistry } from '../../api/v1alpha1/parse.ts';
import type { Registry } from '../../api/v1alpha1/registry.ts';
import { ManifestError, readManifests, type Manifests } from './documents.ts';

export interface ValidManifests {
  readonly registry: Registry;
  readonly manifests: Manifests;
}

/**
 * Reads and validates a manifest file with the words of the API server.
 *
 * @param old what is running now, for fields that cannot be changed
 * @throws ManifestError listing every problem
 */
export function validate(text: string, file: string, old: Registry | undefined): ValidManifests {
  const manifests = readManifests(text, file);
  const result = parseRegistry(manifests.registry, old);
  if (result.errors !== undefined) throw new ManifestError(result.errors.map((error) => `${file}: ${error}`));
  const { registry } = result;
  if (registry.spec.replicas !== 1) {
    throw new ManifestError([
      `${file}: spec.replicas: Invalid value: ${registry.spec.replicas}: must be 1 without a cluster`,
    ]);
  }
  if (registry.spec.storage.filesystem?.existingClaim !== undefined) {
    throw new ManifestError([
      `${file}: spec.storage.filesystem.existingClaim: there are no claims without a cluster; use volumeClaim`,
    ]);
  }
  return { registry, manifests };
}
