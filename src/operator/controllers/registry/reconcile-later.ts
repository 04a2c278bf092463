import type { RegistryStatus } from '../../../api/v1alpha1/registry.ts';
import { findCondition } from '../../kube/conditions.ts';
import type { Situation } from './conditions.ts';

const SECOND = 1000;

/** Pods are asked this often whether they have loaded a change; the kubelet takes a minute or two to bring it. */
const LOADING_MS = 2 * SECOND;

/** As long as that is normal; from then on less often, since something keeps pods from loading or answering. */
const LOADING_PATIENCE_MS = 180 * SECOND;
const LOADING_SLOWLY_MS = 30 * SECOND;

/** Foreign objects carry no label of ours, so that nothing tells when they go. */
const CONFLICT_MS = 30 * SECOND;
const CONFLICTS = new Set(['ObjectConflict', 'ObjectTerminating']);

/** Everything is looked at again twice a day, whatever happens. */
const RESYNC_MS = 12 * 3600 * SECOND;

/** Milliseconds after which a Registry is looked at again although nothing has changed. */
export function nextLookMs({ facts, violations }: Situation, status: RegistryStatus): number {
  const { certificate, now } = facts;
  const due = [certificate?.renewalTime, certificate?.info?.notAfter]
    .map((time) => (time?.getTime() ?? 0) - now.getTime())
    .filter((ms) => ms > 0);
  if (violations.some(({ reason }) => CONFLICTS.has(reason))) due.push(CONFLICT_MS);
  const applied = findCondition(status.conditions ?? [], 'ConfigApplied');
  if (applied?.reason === 'Loading') {
    const since = now.getTime() - Date.parse(applied.lastTransitionTime);
    due.push(since < LOADING_PATIENCE_MS ? LOADING_MS : LOADING_SLOWLY_MS);
  }
  return Math.min(RESYNC_MS, ...due);
}
