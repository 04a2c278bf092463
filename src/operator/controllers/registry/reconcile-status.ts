import type { RegistryStatus } from '../../../api/v1alpha1/registry.ts';
import { hashOf } from '../../../shared/json.ts';
import { type NewCondition, setCondition, type StatusCondition } from '../../kube/conditions.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { ConditionState } from './conditions.ts';
import { REGISTRY } from './gather-kinds.ts';
import { type ReconcileDeps, STATUS_FIELD_MANAGER, type Subject } from './reconcile-deps.ts';
import type { StatusState } from './status.ts';

/**
 * Writes the status when its content differs from what is stored.
 *
 * @returns the status as it is now
 */
export async function writeStatus(
  { object, registry }: Subject,
  state: StatusState,
  deps: ReconcileDeps,
  signal: AbortSignal,
): Promise<RegistryStatus> {
  const { generation } = registry.metadata;
  const types = new Set<string>(state.conditions.map(({ type }) => type));
  const before = (registry.status?.conditions ?? []).filter(({ type }) => types.has(type));
  const conditions = withTimes(before, state.conditions, { generation, now: deps.clock.now() });
  const status: RegistryStatus = { ...state, conditions: [...conditions] };
  if (hashOf(status) !== hashOf(registry.status ?? {})) await apply(object, status, deps, signal);
  return status;
}

/**
 * Tells that the stored spec cannot be used, and leaves everything as it is. That happens when the operator is newer
 * or older than the resource definition that has let the spec in.
 */
export async function writeInvalid(
  object: KubeObject,
  errors: readonly string[],
  deps: ReconcileDeps,
  signal: AbortSignal,
): Promise<void> {
  const status = Object(object['status']);
  const before: StatusCondition[] = Array.isArray(status.conditions) ? status.conditions : [];
  const ready: ConditionState = {
    type: 'Ready',
    status: 'False',
    reason: 'InvalidSpec',
    message: errors.join('; '),
  };
  const { generation } = object.metadata;
  const conditions = withTimes(before, [ready], { generation, now: deps.clock.now() });
  const next = {
    ...status,
    conditions,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
  };
  if (hashOf(next) !== hashOf(status)) await apply(object, next, deps, signal);
}

function withTimes(
  before: readonly StatusCondition[],
  states: readonly ConditionState[],
  { generation, now }: { readonly generation: number | undefined; readonly now: Date },
): readonly StatusCondition[] {
  const observed = generation === undefined ? {} : { observedGeneration: generation };
  const current: NewCondition[] = states.map((state) => Object.assign({}, observed, state));
  return current.reduce((list, condition) => setCondition(list, condition, now), before);
}

async function apply(
  object: KubeObject,
  status: object,
  deps: ReconcileDeps,
  signal: AbortSignal,
): Promise<void> {
  const { apiVersion, kind, metadata } = object;
  const { name, namespace, uid } = metadata;
  const identity: KubeObject['metadata'] = { name };
  if (namespace !== undefined) identity.namespace = namespace;
  // Keeps the status of one Registry from another that was made under its name meanwhile.
  if (uid !== undefined) identity.uid = uid;
  const options = { fieldManager: STATUS_FIELD_MANAGER, subresource: 'status', signal } as const;
  const after = await deps.client.apply(REGISTRY, { apiVersion, kind, metadata: identity, status }, options);
  deps.memory.remember(object, after);
}
