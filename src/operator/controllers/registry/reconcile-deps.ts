import type { Registry } from '../../../api/v1alpha1/registry.ts';
import type { Applier } from '../../kube/apply.ts';
import type { EventRecorder, KubeObject, Store } from '../../kube/types.ts';
import type { GatherSources } from './gather.ts';

/** Collaborators of one reconcile. */
export interface ReconcileDeps extends GatherSources {
  readonly registries: Store;
  readonly applier: Applier;
  readonly events: EventRecorder;
}

/** Owner of the fields of the objects, and of the status, in `managedFields`. */
export const FIELD_MANAGER = 'registry-operator';
export const STATUS_FIELD_MANAGER = 'registry-operator-status';

/** As much of a Registry as is needed to speak of it to the API server. */
export function identityOf({
  apiVersion,
  kind,
  metadata,
}: Pick<Registry, 'apiVersion' | 'kind' | 'metadata'>): KubeObject {
  const { name, namespace, uid } = metadata;
  return { apiVersion, kind, metadata: { name, namespace, ...(uid === undefined ? {} : { uid }) } };
}
