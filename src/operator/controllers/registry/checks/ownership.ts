import { REGISTRY_KIND } from '../../../../api/group.ts';
import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { KubeObject } from '../../../kube/types.ts';
import type { Facts } from '../facts.ts';
import { inventory, type ObjectRef, type OwnedKind } from '../resources/inventory.ts';
import { isOurs } from '../resources/ownership.ts';
import { conditionOf, type Violation, workload } from './violation.ts';

/** Kinds without which the pods run all the same. */
const SIDE_KINDS: ReadonlySet<OwnedKind> = new Set(['ConfigMap', 'PodDisruptionBudget', 'ServiceMonitor']);

/** Names that this Registry needs and that belong to somebody else. They are never overwritten. */
export function checkOwnership(registry: Registry, facts: Facts): Violation[] {
  const taken = inventory(registry, facts)
    .filter(({ wanted }) => wanted)
    .map((item) => ({ item, object: liveObject(facts, item) }));
  return taken.flatMap(({ item, object }) =>
    object === undefined || isOurs(registry, object) ? [] : [conflict(registry, item, object)],
  );
}

/** The object of that name as it is in the cluster, whoever owns it. */
export function liveObject(facts: Pick<Facts, 'live'>, { kind, name }: ObjectRef): KubeObject | undefined {
  return facts.live.find((object) => object.kind === kind && object.metadata.name === name);
}

function conflict(registry: Registry, { kind, name }: ObjectRef, object: KubeObject): Violation {
  const holds = [{ kind, name }, ...(SIDE_KINDS.has(kind) ? [] : workload(registry))];
  const condition = conditionOf(registry, { kind, name });
  if (belongsToPredecessor(registry, object)) {
    const message = `metadata.name: ${kind} "${name}" of an earlier Registry of this name is still being deleted`;
    return { condition, reason: 'ObjectTerminating', message, holds };
  }
  const message = `metadata.name: ${kind} "${name}" exists and does not belong to this Registry; delete it or give the Registry another name`;
  return { condition, reason: 'ObjectConflict', message, holds };
}

function belongsToPredecessor(registry: Registry, object: KubeObject): boolean {
  const owners = object.metadata.ownerReferences ?? [];
  return owners.some(({ kind, name }) => kind === REGISTRY_KIND && name === registry.metadata.name);
}
