import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { KubeObject } from '../../../kube/types.ts';
import { keptMeta, REGISTRY_UID_ANNOTATION } from './labels.ts';
import { objectNames } from './names.ts';

/**
 * The claim that holds the content. It has no owner, so that it outlives its Registry unless the deletion
 * policy says otherwise.
 *
 * @returns undefined when the Registry asks for none
 */
export function persistentVolumeClaim(registry: Registry): KubeObject | undefined {
  const claim = registry.spec.storage.filesystem?.volumeClaim;
  if (claim === undefined) return undefined;
  const { name, uid } = registry.metadata;
  const metadata = keptMeta(registry, objectNames(name).data);
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: uid === undefined ? metadata : { ...metadata, annotations: { [REGISTRY_UID_ANNOTATION]: uid } },
    spec: {
      accessModes: [claim.accessMode],
      resources: { requests: { storage: String(claim.size) } },
      ...(claim.storageClassName === undefined ? {} : { storageClassName: claim.storageClassName }),
    },
  };
}

/** The claim that the pods mount, made or named. */
export function claimName(registry: Registry): string | undefined {
  const filesystem = registry.spec.storage.filesystem;
  if (filesystem === undefined) return undefined;
  return filesystem.existingClaim?.name ?? objectNames(registry.metadata.name).data;
}
