import { LABELS, MANAGED_BY } from '../../../../api/group.ts';
import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { KubeObject } from '../../../kube/types.ts';

/**
 * Whether an object is this Registry's and may be written: its controller is the Registry. A claim has no
 * owner, since it may outlive the Registry; it is known by the operator's labels.
 */
export function isOurs(registry: Registry, object: KubeObject): boolean {
  if (object.kind === 'PersistentVolumeClaim') return isOurClaim(registry, object);
  const { uid } = registry.metadata;
  const owners = object.metadata.ownerReferences ?? [];
  return uid !== undefined && owners.some((owner) => owner.controller === true && owner.uid === uid);
}

function isOurClaim(registry: Registry, claim: KubeObject): boolean {
  const labels = claim.metadata.labels ?? {};
  return labels[LABELS.managedBy] === MANAGED_BY && labels[LABELS.registry] === registry.metadata.name;
}
