import { createHash } from 'node:crypto';

/**
 * JSON with the members of every object in order of their names, so that equal values give equal text.
 * Members that are undefined are dropped; undefined in an array becomes null, as in `JSON.stringify`.
 */
export function stableStringify(value: unknown): string {
  return JSON.stringify(ordered(value)) ?? 'null';
}

/** Names a value: SHA-256 of {@link stableStringify}, in 64 lower case hexadecimal digits. */
export function hashOf(value: unknown): string {
  return createHash('sha256').update(stableStringify(value)).digest('hex');
}

function ordered(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if ('toJSON' in value && typeof value.toJSON === 'function') return value.toJSON();
  if (Array.isArray(value)) return value.map((item: unknown) => ordered(item));
  const entries = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => [name, ordered(member)] as const);
  // A map would not survive JSON, and a plain object would treat a member called __proto__ as its prototype.
  return Object.assign(Object.create(null), Object.fromEntries(entries));
}
