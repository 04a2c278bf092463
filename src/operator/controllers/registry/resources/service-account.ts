import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { KubeObject } from '../../../kube/types.ts';
import { ownedMeta } from './labels.ts';
import { objectNames } from './names.ts';

/** The identity of the pods. They never talk to the Kubernetes API, so that no token is mounted. */
export function serviceAccount(registry: Registry): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: ownedMeta(registry, objectNames(registry.metadata.name).base),
    automountServiceAccountToken: false,
  };
}
