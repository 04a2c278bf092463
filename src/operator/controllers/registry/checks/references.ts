import type { ConditionType, Registry } from '../../../../api/v1alpha1/registry.ts';
import type { DataByKey, Facts } from '../facts.ts';
import { type Violation, workload } from './violation.ts';

/** A key of a Secret or ConfigMap that a field refers to. */
export interface Reference {
  /** Path of the field, such as `spec.tls.secretRef`. */
  readonly path: string;
  readonly kind: 'Secret' | 'ConfigMap';
  readonly name: string;
  readonly condition: ConditionType;
}

/** A violation that holds the pods. */
export function problem(
  registry: Registry,
  reference: Reference,
  reason: string,
  message: string,
): Violation {
  const { condition, path } = reference;
  return { condition, reason, message: `${path}: ${message}`, holds: workload(registry) };
}

/** The content that a reference names, or why there is none. */
export function resolve(
  registry: Registry,
  facts: Facts,
  reference: Reference,
  keys: readonly string[],
): { data: DataByKey } | { violations: Violation[] } {
  const { kind, name } = reference;
  const data = (kind === 'Secret' ? facts.secrets : facts.configMaps)[name];
  if (data === undefined) {
    return { violations: [problem(registry, reference, `${kind}NotFound`, `${kind} "${name}" not found`)] };
  }
  const missing = keys.filter((key) => (data[key]?.length ?? 0) === 0);
  if (missing.length === 0) return { data };
  const violations = missing.map((key) =>
    problem(
      registry,
      reference,
      `${kind}KeyNotFound`,
      `key "${key}" is missing or empty in ${kind} "${name}"`,
    ),
  );
  return { violations };
}
