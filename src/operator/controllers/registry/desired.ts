import type { Registry } from '../../../api/v1alpha1/registry.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { CertificateFacts, Facts } from './facts.ts';
import type { Placement } from './placement.ts';
import { caConfigMap } from './resources/ca-config-map.ts';
import { caSecret } from './resources/ca-secret.ts';
import { configSecret } from './resources/config-secret.ts';
import { serverConfig } from './resources/config.ts';
import { deployment } from './resources/deployment.ts';
import { referencedFiles, restartHash } from './resources/files.ts';
import { podDisruptionBudget } from './resources/pod-disruption-budget.ts';
import { persistentVolumeClaim } from './resources/pvc.ts';
import { serviceAccount } from './resources/service-account.ts';
import { serviceMonitor } from './resources/service-monitor.ts';
import { service } from './resources/service.ts';
import { tlsSecret } from './resources/tls-secret.ts';

/**
 * The objects that a Registry should consist of, in the order in which they are applied: the Service first,
 * because its addresses go into the certificate and decide what the server listens on. What needs the certificate or
 * the addresses is left out until they are known.
 */
export function desired(registry: Registry, facts: Facts, placement: Placement): KubeObject[] {
  const objects = [
    service(registry),
    serviceAccount(registry),
    persistentVolumeClaim(registry),
    ...(facts.certificate ? certificateObjects(registry, facts.certificate) : []),
    ...(isWaiting(registry, facts) ? [] : workload(registry, facts, placement)),
    podDisruptionBudget(registry),
    facts.serves.serviceMonitor ? serviceMonitor(registry) : undefined,
  ];
  return objects.filter((object) => object !== undefined);
}

/**
 * Whether the pods have to wait. Without the Service's addresses pods would be made for IPv4 alone, and be replaced as soon as it has them.
 */
export function isWaiting(registry: Registry, facts: Facts): boolean {
  return facts.service === undefined || isWaitingForCertificate(registry, facts);
}

/** Whether the pods have to wait for a certificate that is not there yet. */
export function isWaitingForCertificate(registry: Registry, facts: Pick<Facts, 'certificate'>): boolean {
  return registry.spec.tls.type !== 'None' && facts.certificate === undefined;
}

/** The CA before the leaf: a leaf without its CA would be thrown away by the next reconcile. */
function certificateObjects(
  registry: Registry,
  certificate: CertificateFacts,
): readonly (KubeObject | undefined)[] {
  const issued = registry.spec.tls.type === 'SelfSigned';
  return [
    caSecret(registry, certificate),
    caConfigMap(registry, certificate),
    issued ? tlsSecret(registry, certificate) : undefined,
  ];
}

function workload(registry: Registry, facts: Facts, placement: Placement): readonly KubeObject[] {
  const config = serverConfig(registry, facts, placement);
  const files = referencedFiles(registry, facts, placement);
  return [configSecret(registry, config), deployment(registry, facts, placement, restartHash(config, files))];
}
