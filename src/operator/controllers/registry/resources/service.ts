import { PORTS } from '../../../../api/group.ts';
import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { KubeObject } from '../../../kube/types.ts';
import { ownedMeta, selectorLabels } from './labels.ts';
import { objectNames } from './names.ts';

/** The Service: the registry API, and the operations port for Prometheus. */
export function service(registry: Registry): KubeObject {
  const appProtocol = registry.spec.tls.type === 'None' ? 'http' : 'https';
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: ownedMeta(registry, objectNames(registry.metadata.name).base),
    spec: {
      type: 'ClusterIP',
      ipFamilyPolicy: 'PreferDualStack',
      selector: selectorLabels(registry),
      ports: [
        { name: 'registry', protocol: 'TCP', port: PORTS.registry, targetPort: 'registry', appProtocol },
        { name: 'ops', protocol: 'TCP', port: PORTS.ops, targetPort: 'ops', appProtocol: 'http' },
      ],
    },
  };
}
