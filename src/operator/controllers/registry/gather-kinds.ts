import { API_VERSION, REGISTRY_KIND, REGISTRY_PLURAL } from '../../../api/group.ts';
import { KINDS } from '../../kube/kinds.ts';
import type { ResourceKind } from '../../kube/types.ts';
import type { OwnedKind } from './resources/inventory.ts';

/** The kind that this controller reconciles. */
export const REGISTRY: ResourceKind = {
  apiVersion: API_VERSION,
  kind: REGISTRY_KIND,
  plural: REGISTRY_PLURAL,
  namespaced: true,
};

/** The kinds that a Registry consists of, as their URLs need them. */
export const OWNED_KINDS: Readonly<Record<OwnedKind, ResourceKind>> = {
  Service: KINDS.service,
  ServiceAccount: KINDS.serviceAccount,
  PersistentVolumeClaim: KINDS.persistentVolumeClaim,
  Secret: KINDS.secret,
  ConfigMap: KINDS.configMap,
  Deployment: KINDS.deployment,
  PodDisruptionBudget: KINDS.podDisruptionBudget,
  ServiceMonitor: KINDS.serviceMonitor,
};

/** @throws Error for a kind that no Registry consists of */
export function resourceKind(kind: string): ResourceKind {
  const found = Object.values(OWNED_KINDS).find((candidate) => candidate.kind === kind);
  if (found === undefined) throw new Error(`a Registry has no ${kind}`);
  return found;
}
