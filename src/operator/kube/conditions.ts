/** A condition as in `metav1.Condition`. */
export interface StatusCondition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  /** CamelCase word for programs. */
  readonly reason: string;
  /** Sentence for people. */
  readonly message: string;
  /** `metadata.generation` that the condition speaks of. */
  readonly observedGeneration?: number | undefined;
  /** RFC 3339; when `status` last changed. */
  readonly lastTransitionTime: string;
}

export type NewCondition = Omit<StatusCondition, 'lastTransitionTime'>;

/**
 * Puts a condition in place of the one of its type, or at the end. `lastTransitionTime` stays unless `status`
 * changes. Without a change the very same list comes back.
 */
export function setCondition(
  conditions: readonly StatusCondition[],
  condition: NewCondition,
  now: Date,
): readonly StatusCondition[] {
  const old = findCondition(conditions, condition.type);
  const changed = old?.status !== condition.status;
  const lastTransitionTime = changed ? seconds(now) : old.lastTransitionTime;
  const next: StatusCondition = { ...condition, lastTransitionTime };
  if (!old) return [...conditions, next];
  if (equal(old, next)) return conditions;
  return conditions.map((each) => (each === old ? next : each));
}

export function findCondition(
  conditions: readonly StatusCondition[],
  type: string,
): StatusCondition | undefined {
  return conditions.find((condition) => condition.type === type);
}

function equal(a: StatusCondition, b: StatusCondition): boolean {
  return (
    a.status === b.status &&
    a.reason === b.reason &&
    a.message === b.message &&
    a.observedGeneration === b.observedGeneration
  );
}

/** metav1.Time has whole seconds. */
function seconds(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}
