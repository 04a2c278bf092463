import { FINALIZER } from '../../../api/group.ts';
import { parseRegistry } from '../../../api/v1alpha1/parse.ts';
import type { Registry } from '../../../api/v1alpha1/registry.ts';
import type { ReconcileResult } from '../../controller/context.ts';
import { isNamespaceTerminating } from '../../kube/errors.ts';
import { addFinalizer } from '../../kube/finalizer.ts';
import { parseKey } from '../../kube/store.ts';
import type { KubeObject } from '../../kube/types.ts';
import { check } from './checks.ts';
import type { Situation } from './conditions.ts';
import { desired, isWaiting } from './desired.ts';
import type { Facts } from './facts.ts';
import { finalize } from './finalize.ts';
import { REGISTRY } from './gather-kinds.ts';
import { gather } from './gather.ts';
import { podPlacement, type Placement } from './placement.ts';
import { plan } from './plan.ts';
import { carryOut, type Outcome } from './reconcile-apply.ts';
import type { ReconcileDeps } from './reconcile-deps.ts';
import { reportReady } from './reconcile-events.ts';
import { nextLookMs } from './reconcile-later.ts';
import { writeInvalid, writeStatus } from './reconcile-status.ts';
import { serverConfig } from './resources/config.ts';
import { referencedFiles, wantedHash } from './resources/files.ts';
import { statusOf } from './status.ts';

/** The deletion of the Registry follows the one of its namespace; this is for a deletion that hangs. */
const NAMESPACE_MS = 30_000;

/** Brings one Registry to its desired state, as far as its namespace lets anything be made. */
export async function reconcileRegistry(
  key: string,
  deps: ReconcileDeps,
  signal: AbortSignal,
): Promise<ReconcileResult> {
  try {
    return await reconcile(key, deps, signal);
  } catch (error) {
    if (!isNamespaceTerminating(error)) throw error;
    return { requeueAfterMs: NAMESPACE_MS };
  }
}

/** Gather, check, plan, carry out, tell. */
async function reconcile(key: string, deps: ReconcileDeps, signal: AbortSignal): Promise<ReconcileResult> {
  const cached = deps.registries.get(parseKey(key));
  if (cached === undefined) return {};
  const object = deps.memory.newest(cached);
  if (object.metadata.deletionTimestamp !== undefined) {
    await finalize(object, deps, signal);
    return {};
  }
  const { registry, errors } = parseRegistry(object, undefined, { unknownFields: 'Prune' });
  if (registry === undefined) {
    await writeInvalid(object, errors, deps, signal);
    return {};
  }
  const subject = { registry, object: await ensureFinalizer(object, deps, signal) };
  const facts = await gather(registry, deps, signal);
  const placement = podPlacement(facts.service?.clusterIPs ?? []);
  const violations = check(registry, facts);
  const actions =
    registry.spec.paused === true
      ? []
      : plan(registry, facts, desired(registry, facts, placement), violations);
  const outcome = await carryOut(subject, actions, deps, signal);
  const situation: Situation = {
    registry,
    facts: { ...facts, live: asTheyAre(facts.live, outcome) },
    violations: [...violations, ...outcome.refusals],
    wantedHash: hashWanted(registry, facts, placement),
  };
  const state = statusOf(situation);
  const status = await writeStatus(subject, state, deps, signal);
  reportReady(deps.events, subject, state.conditions);
  if (outcome.error) throw outcome.error;
  return { requeueAfterMs: nextLookMs(situation, status) };
}

async function ensureFinalizer(
  object: KubeObject,
  deps: ReconcileDeps,
  signal: AbortSignal,
): Promise<KubeObject> {
  const after = await addFinalizer(deps.client, REGISTRY, object, { finalizer: FINALIZER, signal });
  deps.memory.remember(object, after);
  return after;
}

/** What was just applied is newer than what the caches show: a rollout that has just begun must not look complete. */
function asTheyAre(live: readonly KubeObject[], { objects }: Outcome): KubeObject[] {
  const isReplaced = (old: KubeObject): boolean =>
    objects.some(({ kind, metadata }) => kind === old.kind && metadata.name === old.metadata.name);
  return [...live.filter((object) => !isReplaced(object)), ...objects];
}

function hashWanted(registry: Registry, facts: Facts, placement: Placement): string | undefined {
  if (isWaiting(registry, facts)) return undefined;
  const config = serverConfig(registry, facts, placement);
  return wantedHash(config, referencedFiles(registry, facts, placement));
}
