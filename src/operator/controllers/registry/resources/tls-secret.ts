import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { KubeObject } from '../../../kube/types.ts';
import type { CertificateFacts } from '../facts.ts';
import { ownedMeta } from './labels.ts';
import { objectNames } from './names.ts';
import { secretData } from './secret-data.ts';

/** Keys of a Secret of type kubernetes.io/tls, and of the CA beside them. */
export const TLS_KEYS = { certificate: 'tls.crt', key: 'tls.key', ca: 'ca.crt' } as const;

/** The certificate that the operator issued, mounted into the pods. */
export function tlsSecret(registry: Registry, certificate: CertificateFacts): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: ownedMeta(registry, objectNames(registry.metadata.name).tls),
    type: 'kubernetes.io/tls',
    data: secretData({
      [TLS_KEYS.certificate]: certificate.certificate,
      [TLS_KEYS.key]: certificate.key,
      ...(certificate.caCertificate === undefined ? {} : { [TLS_KEYS.ca]: certificate.caCertificate }),
    }),
  };
}
