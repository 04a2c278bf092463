import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { KubeObject } from '../../../kube/types.ts';
import type { CertificateFacts } from '../facts.ts';
import { ownedMeta } from './labels.ts';
import { objectNames } from './names.ts';
import { secretData } from './secret-data.ts';
import { TLS_KEYS } from './tls-secret.ts';

/**
 * The CA that signs, and the bundle of the CAs that clients trust. Never mounted into a pod.
 *
 * @returns undefined when the operator is not the CA
 */
export function caSecret(registry: Registry, certificate: CertificateFacts): KubeObject | undefined {
  const { authority, caCertificate } = certificate;
  if (authority === undefined) return undefined;
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: ownedMeta(registry, objectNames(registry.metadata.name).ca),
    type: 'kubernetes.io/tls',
    data: secretData({
      [TLS_KEYS.certificate]: authority.certificate,
      [TLS_KEYS.key]: authority.key,
      [TLS_KEYS.ca]: caCertificate ?? authority.certificate,
    }),
  };
}
