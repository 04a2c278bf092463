import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { KubeObject } from '../../../kube/types.ts';
import type { Facts } from '../facts.ts';
import type { Placement } from '../placement.ts';
import { ownedMeta, selectorLabels } from './labels.ts';
import { objectNames } from './names.ts';
import { podTemplate } from './pod-template.ts';

/** A rollout without progress for this long is reported as stuck. */
const PROGRESS_DEADLINE_SECONDS = 600;

/** The registry's pods. */
export function deployment(
  registry: Registry,
  facts: Facts,
  placement: Placement,
  restartHash: string,
): KubeObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: ownedMeta(registry, objectNames(registry.metadata.name).base),
    spec: {
      replicas: registry.spec.replicas,
      revisionHistoryLimit: 3,
      progressDeadlineSeconds: PROGRESS_DEADLINE_SECONDS,
      selector: { matchLabels: selectorLabels(registry) },
      strategy: strategy(registry, facts),
      template: podTemplate(registry, facts, placement, restartHash),
    },
  };
}

/**
 * Two pods on two nodes cannot both have a volume that is not shared: a rolling update would wait for ever for
 * the old pod to let go. Everything else is replaced without a gap.
 */
function strategy(registry: Registry, facts: Facts): object {
  if (isExclusiveVolume(registry, facts)) return { type: 'Recreate' };
  return { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } };
}

function isExclusiveVolume(registry: Registry, facts: Facts): boolean {
  const { filesystem } = registry.spec.storage;
  if (filesystem === undefined) return false;
  if (filesystem.volumeClaim) return filesystem.volumeClaim.accessMode !== 'ReadWriteMany';
  return !accessModes(facts.existingClaim).includes('ReadWriteMany');
}

/** `spec.accessModes` of a claim. */
export function accessModes(claim: KubeObject | undefined): string[] {
  const spec = claim?.['spec'];
  if (typeof spec !== 'object' || spec === null || !('accessModes' in spec)) return [];
  return Array.isArray(spec.accessModes) ? spec.accessModes.map(String) : [];
}
