import type { ConditionType, Registry } from '../../../../api/v1alpha1/registry.ts';
import type { ObjectRef } from '../resources/inventory.ts';
import { objectNames } from '../resources/names.ts';

/** Something that keeps a Registry from being what it should be. Messages never hold values of Secrets. */
export interface Violation {
  /** The condition that becomes False. */
  readonly condition: ConditionType;
  /** One word for programs. */
  readonly reason: string;
  /** A sentence for people that names the field. */
  readonly message: string;
  /** Objects that depend on it and stay as they are meanwhile. */
  readonly holds: readonly ObjectRef[];
}

/** The objects that make up the running server: they only ever change together. */
export function workload(registry: Registry): readonly ObjectRef[] {
  const names = objectNames(registry.metadata.name);
  return [
    { kind: 'Secret', name: names.config },
    { kind: 'Deployment', name: names.base },
  ];
}

/** The condition that tells of an object. */
export function conditionOf(registry: Registry, { kind, name }: ObjectRef): ConditionType {
  const names = objectNames(registry.metadata.name);
  if (kind === 'PersistentVolumeClaim') return 'StorageReady';
  if (kind === 'ConfigMap') return 'CertificateReady';
  if (kind !== 'Secret') return 'Ready';
  return name === names.config ? 'ConfigApplied' : 'CertificateReady';
}
