/** Ends a switch that has a case for every member of a union: the compiler reports a missing one here. */
export function unreachable(value: never): never {
  throw new Error(`unexpected value: ${JSON.stringify(value)}`);
}
