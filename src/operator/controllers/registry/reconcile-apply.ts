import type { Registry } from '../../../api/v1alpha1/registry.ts';
import { ApiError, isForbidden, isInvalid, isNamespaceTerminating } from '../../kube/errors.ts';
import type { KubeObject } from '../../kube/types.ts';
import { conditionOf, type Violation, workload } from './checks/violation.ts';
import { resourceKind } from './gather-kinds.ts';
import type { Action } from './plan.ts';
import type { ReconcileDeps, Subject } from './reconcile-deps.ts';
import { reportAdopted, reportApplied, reportDeleted } from './reconcile-events.ts';
import { OWNED_KIND_NAMES, type ObjectRef } from './resources/inventory.ts';

/** What a plan is carried out with. */
export type ApplyDeps = Pick<ReconcileDeps, 'client' | 'applier' | 'events'>;

/** What became of the plan. */
export interface Outcome {
  /** Objects as they are now, in place of those that the caches show. */
  readonly objects: readonly KubeObject[];
  /** Objects that the API server refused. */
  readonly refusals: readonly Violation[];
  /** The first refusal, to be thrown when the status has been written. */
  readonly error?: ApiError;
}

/** Kinds without which pods cannot start: when one is refused, the pods stay as they are. */
const NEEDED_BY_PODS = new Set(['Secret', 'ServiceAccount']);

/**
 * Carries the plan out, step by step. An object that the API server refuses becomes a violation, and what does not
 * depend on it goes on; every other failure ends the reconcile.
 *
 * @throws ApiError, TransportError
 */
export async function carryOut(
  subject: Subject,
  actions: readonly Action[],
  deps: ApplyDeps,
  signal: AbortSignal,
): Promise<Outcome> {
  const objects: KubeObject[] = [];
  const refusals: Violation[] = [];
  let error: ApiError | undefined;
  for (const action of actions) {
    if (refusals.some(({ holds }) => holds.some((held) => isTarget(held, action)))) continue;
    try {
      const object = await act(subject, action, deps, signal);
      if (object) objects.push(object);
    } catch (failure) {
      if (!isRefusal(failure)) throw failure;
      refusals.push(refusal(subject.registry, targetOf(action), failure));
      error ??= failure;
    }
  }
  return { objects, refusals, ...(error ? { error } : {}) };
}

async function act(
  subject: Subject,
  action: Action,
  deps: ApplyDeps,
  signal: AbortSignal,
): Promise<KubeObject | undefined> {
  const kind = resourceKind(targetOf(action).kind);
  if (action.type === 'delete') {
    const { name, namespace, uid } = action.live.metadata;
    const options = { signal, ...(uid === undefined ? {} : { uid }) };
    const deleted = await deps.client.delete(kind, { namespace, name }, options);
    deps.applier.forget(kind, action.live);
    if (deleted) reportDeleted(deps.events, subject, action.live);
    return undefined;
  }
  const { object, written } = await deps.applier.applyIfChanged(kind, action.object, action.live, { signal });
  if (written) {
    reportAdopted(deps.events, subject, action.live);
    reportApplied(deps.events, subject, { before: action.live, after: object });
  }
  return object;
}

function targetOf(action: Action): KubeObject {
  return action.type === 'apply' ? action.object : action.live;
}

function isTarget(ref: ObjectRef, action: Action): boolean {
  const { kind, metadata } = targetOf(action);
  return ref.kind === kind && ref.name === metadata.name;
}

/** The API server has understood the request and will not have it, until somebody changes something. */
function isRefusal(error: unknown): error is ApiError {
  if (!(error instanceof ApiError) || isNamespaceTerminating(error)) return false;
  return isInvalid(error) || isForbidden(error) || error.status === 400;
}

function refusal(registry: Registry, object: KubeObject, error: ApiError): Violation {
  const kind = OWNED_KIND_NAMES.find((name) => name === object.kind) ?? 'Deployment';
  const ref: ObjectRef = { kind, name: object.metadata.name };
  const message = `${kind} "${ref.name}" was refused: ${error.message}`;
  const holds = NEEDED_BY_PODS.has(kind) ? [ref, ...workload(registry)] : [ref];
  return { condition: conditionOf(registry, ref), reason: 'ObjectRefused', message, holds };
}
