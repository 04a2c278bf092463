import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { KubeObject } from '../../../kube/types.ts';
import { ownedMeta, selectorLabels } from './labels.ts';
import { objectNames } from './names.ts';

/**
 * Lets a drain take one pod at a time. One replica gets no budget: it would only keep its node from ever being
 * drained. A pod that does not serve may always go.
 */
export function podDisruptionBudget(registry: Registry): KubeObject | undefined {
  if (registry.spec.replicas <= 1) return undefined;
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: ownedMeta(registry, objectNames(registry.metadata.name).base),
    spec: {
      maxUnavailable: 1,
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: { matchLabels: selectorLabels(registry) },
    },
  };
}
