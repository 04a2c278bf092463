import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { Facts } from '../facts.ts';
import { serviceMonitorMode } from '../resources/inventory.ts';
import type { Violation } from './violation.ts';

/** A ServiceMonitor that must be there can be made. */
export function checkMonitoring(registry: Registry, facts: Facts): Violation[] {
  if (serviceMonitorMode(registry) !== 'Enabled' || facts.serves.serviceMonitor) return [];
  const message =
    'spec.monitoring.serviceMonitor.mode: the cluster does not serve monitoring.coreos.com/v1; install the Prometheus operator or use Auto';
  return [{ condition: 'Ready', reason: 'ServiceMonitorUnavailable', message, holds: [] }];
}
