import type { Registry } from '../../../api/v1alpha1/registry.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { Facts } from './facts.ts';
import type { Placement } from './placement.ts';

/**
 * The objects that a Registry should consist of, in the order in which they are applied: the Service first,
 * because its address goes into the certificate. What needs the certificate is left out until there is one.
 */
export function desired(registry: Registry, facts: Facts, placement: Placement): KubeObject[] {
  return [];
}
