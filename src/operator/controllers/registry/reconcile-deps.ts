import type { Registry } from '../../../api/v1alpha1/registry.ts';
import type { Applier } from '../../kube/apply.ts';
import type { EventRecorder, KubeObject, Store } from '../../kube/types.ts';
import type { GatherSources } from './gather.ts';
import type { RegistryMemory } from './reconcile-memory.ts';

/** Collaborators of one reconcile. */
export interface ReconcileDeps extends GatherSources {
  readonly registries: Store;
  readonly applier: Applier;
  readonly events: EventRecorder;
  readonly memory: RegistryMemory;
}

/** Owner of the fields of the objects, and of the status, in `managedFields`. */
export const FIELD_MANAGER = 'registry-operator';
export const STATUS_FIELD_MANAGER = 'registry-operator-status';

/** A Registry as the API server sends it, and what it says. */
export interface Subject {
  readonly object: KubeObject;
  readonly registry: Registry;
}
