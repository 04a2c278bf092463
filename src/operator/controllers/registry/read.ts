/**
 * Reads a member deep inside plain JSON whose shape is known by its documentation only.
 *
 * @returns undefined as soon as a step is missing
 */
export function read(value: unknown, ...path: readonly string[]): unknown {
  let current = value;
  for (const name of path) {
    if (typeof current !== 'object' || current === null) return undefined;
    current = Reflect.get(current, name);
  }
  return current;
}

/** A count that Kubernetes leaves out when it is zero. */
export function readCount(value: unknown, ...path: readonly string[]): number {
  const found = read(value, ...path);
  return typeof found === 'number' ? found : 0;
}

export function readText(value: unknown, ...path: readonly string[]): string | undefined {
  const found = read(value, ...path);
  return typeof found === 'string' ? found : undefined;
}

export function readList(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const found = read(value, ...path);
  return Array.isArray(found) ? found : [];
}
