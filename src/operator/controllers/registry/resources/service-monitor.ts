import { LABELS } from '../../../../api/group.ts';
import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { KubeObject } from '../../../kube/types.ts';
import { serviceMonitorMode } from './inventory.ts';
import { labels, ownedMeta, selectorLabels } from './labels.ts';
import { objectNames } from './names.ts';

/**
 * Tells the Prometheus operator to scrape the operations port.
 *
 * @returns undefined when the Registry does not want one
 */
export function serviceMonitor(registry: Registry): KubeObject | undefined {
  if (serviceMonitorMode(registry) === 'Disabled') return undefined;
  const metadata = ownedMeta(registry, objectNames(registry.metadata.name).base);
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'ServiceMonitor',
    metadata: {
      ...metadata,
      labels: { ...registry.spec.monitoring?.serviceMonitor?.labels, ...labels(registry) },
    },
    spec: {
      jobLabel: LABELS.name,
      targetLabels: [LABELS.registry],
      selector: { matchLabels: selectorLabels(registry) },
      endpoints: [{ port: 'ops', path: '/metrics' }],
    },
  };
}
