import { LABELS, MANAGED_BY } from '../../../../api/group.ts';
import type { KubeObject } from '../../../kube/types.ts';

/** A Registry, parsed or as it comes from the API server. */
export interface Owner {
  readonly metadata: { readonly name: string; readonly uid?: string | undefined };
}

/**
 * Whether an object is this Registry's and may be written: its controller is the Registry. A claim has no
 * owner, since it may outlive the Registry; it is known by the operator's labels.
 */
export function isOurs(registry: Owner, object: KubeObject): boolean {
  if (object.kind === 'PersistentVolumeClaim') return isOurClaim(registry, object);
  const { uid } = registry.metadata;
  const owners = object.metadata.ownerReferences ?? [];
  return uid !== undefined && owners.some((owner) => owner.controller === true && owner.uid === uid);
}

function isOurClaim(registry: Owner, claim: KubeObject): boolean {
  const labels = claim.metadata.labels ?? {};
  return labels[LABELS.managedBy] === MANAGED_BY && labels[LABELS.registry] === registry.metadata.name;
}
