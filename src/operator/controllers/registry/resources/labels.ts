import { GROUP, LABELS, MANAGED_BY } from '../../../../api/group.ts';
import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { ObjectMeta } from '../../../kube/types.ts';

/** Value of `app.kubernetes.io/name` on everything that belongs to a registry server. */
const NAME = 'registry';

/** On the claim: UID of the Registry that uses it, by which a re-created Registry sees that it has adopted it. */
export const REGISTRY_UID_ANNOTATION = `${GROUP}/registry-uid`;

/** Selects the pods of a Registry. A Deployment's selector cannot be changed, so neither can this. */
export function selectorLabels(registry: Registry): Record<string, string> {
  return { [LABELS.name]: NAME, [LABELS.registry]: registry.metadata.name };
}

/** Labels of every object of a Registry. */
export function labels(registry: Registry): Record<string, string> {
  return {
    ...selectorLabels(registry),
    [LABELS.instance]: registry.metadata.name,
    [LABELS.component]: 'registry',
    [LABELS.managedBy]: MANAGED_BY,
  };
}

/** `a=b,c=d`, as the scale subresource shows it to an autoscaler. */
export function selectorText(registry: Registry): string {
  return Object.entries(selectorLabels(registry))
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/** Metadata of an object that is deleted together with its Registry. */
export function ownedMeta(registry: Registry, name: string): ObjectMeta {
  return { ...keptMeta(registry, name), ...ownerReferences(registry) };
}

/** Metadata of an object that outlives its Registry. */
export function keptMeta(registry: Registry, name: string): ObjectMeta {
  return { name, namespace: registry.metadata.namespace, labels: labels(registry) };
}

/** Local mode has no UID and so no owners. */
function ownerReferences(registry: Registry): Pick<ObjectMeta, 'ownerReferences'> {
  const { apiVersion, kind, metadata } = registry;
  if (metadata.uid === undefined) return {};
  const owner = { apiVersion, kind, name: metadata.name, uid: metadata.uid };
  return { ownerReferences: [{ ...owner, controller: true, blockOwnerDeletion: true }] };
}
