import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { KubeObject } from '../../../kube/types.ts';
import type { CertificateFacts } from '../facts.ts';
import { ownedMeta } from './labels.ts';
import { objectNames } from './names.ts';
import { TLS_KEYS } from './tls-secret.ts';

/**
 * What clients have to trust, for everybody who may read ConfigMaps.
 *
 * @returns undefined when the certificate comes without a CA
 */
export function caConfigMap(registry: Registry, certificate: CertificateFacts): KubeObject | undefined {
  if (certificate.caCertificate === undefined) return undefined;
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: ownedMeta(registry, objectNames(registry.metadata.name).ca),
    data: { [TLS_KEYS.ca]: certificate.caCertificate },
  };
}
