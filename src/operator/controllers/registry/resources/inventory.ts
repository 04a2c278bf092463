import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { Facts } from '../facts.ts';
import { objectNames } from './names.ts';

/** Names one object of the Registry's namespace. */
export interface ObjectRef {
  readonly kind: OwnedKind;
  readonly name: string;
}

export const OWNED_KIND_NAMES = [
  'Service',
  'ServiceAccount',
  'PersistentVolumeClaim',
  'Secret',
  'ConfigMap',
  'Deployment',
  'PodDisruptionBudget',
  'ServiceMonitor',
] as const;
export type OwnedKind = (typeof OWNED_KIND_NAMES)[number];

/** An object that a Registry may consist of. */
export interface InventoryItem extends ObjectRef {
  /** Whether the spec asks for it. */
  readonly wanted: boolean;
  /** Whether it is deleted when the spec no longer asks for it. */
  readonly removable: boolean;
}

/** Every object that a Registry may consist of, in the order in which they are applied. */
export function inventory(
  registry: Registry,
  facts: Pick<Facts, 'serves' | 'certificate'>,
): readonly InventoryItem[] {
  const { spec, metadata } = registry;
  const names = objectNames(metadata.name);
  const selfSigned = spec.tls.type === 'SelfSigned';
  const publishesCa = selfSigned || facts.certificate?.caCertificate !== undefined;
  return [
    always('Service', names.base),
    always('ServiceAccount', names.base),
    claim(names.data, spec.storage.filesystem?.volumeClaim !== undefined),
    optional('Secret', names.ca, selfSigned),
    optional('ConfigMap', names.ca, publishesCa),
    optional('Secret', names.tls, selfSigned),
    always('Secret', names.config),
    always('Deployment', names.base),
    optional('PodDisruptionBudget', names.base, spec.replicas > 1),
    ...(facts.serves.serviceMonitor
      ? [optional('ServiceMonitor', names.base, serviceMonitorMode(registry) !== 'Disabled')]
      : []),
  ];
}

/** `spec.monitoring.serviceMonitor.mode`, with its default. */
export function serviceMonitorMode(registry: Registry): 'Auto' | 'Enabled' | 'Disabled' {
  return registry.spec.monitoring?.serviceMonitor?.mode ?? 'Auto';
}

function always(kind: OwnedKind, name: string): InventoryItem {
  return { kind, name, wanted: true, removable: false };
}

function optional(kind: OwnedKind, name: string, wanted: boolean): InventoryItem {
  return { kind, name, wanted, removable: true };
}

/** A claim holds content: the end of the Registry decides over it, never a change of its spec. */
function claim(name: string, wanted: boolean): InventoryItem {
  return { kind: 'PersistentVolumeClaim', name, wanted, removable: false };
}
