/** Specs of Registries from which the cases are made. */

export type Spec = Readonly<Record<string, unknown>>;

const auth = { anonymous: 'PullPush' };

/** On a volume that the operator creates. */
export function onVolume(claim: Spec = {}, rest: Spec = {}): Spec {
  const volumeClaim = { size: '10Gi', ...claim };
  return { storage: { type: 'Filesystem', filesystem: { volumeClaim } }, auth, ...rest };
}

/** On a volume that exists. */
export function onClaim(claim: Spec = {}, rest: Spec = {}): Spec {
  const existingClaim = { name: 'content', ...claim };
  return { storage: { type: 'Filesystem', filesystem: { existingClaim } }, auth, ...rest };
}

export function inBucket(bucket: Spec = {}, rest: Spec = {}): Spec {
  return { storage: { type: 'S3', s3: { bucket: 'content', region: 'eu', ...bucket } }, auth, ...rest };
}

export function ephemeral(rest: Spec = {}): Spec {
  return { storage: { type: 'Ephemeral' }, auth, ...rest };
}

/** With one field of the spec, whatever it is. */
export function having(field: string, value: unknown): Spec {
  return inBucket({}, { [field]: value });
}

/** With parts of the PodSpec. */
export function pods(spec: Spec): Spec {
  return having('podTemplate', { spec });
}

/** Entries `a0`, `a1`, … */
export function entries<Value>(count: number, value: Value): Record<string, Value> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`a${index}`, value]));
}
