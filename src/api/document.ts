import type { StructuralSchema } from './structural.ts';

/**
 * What the API server does to a document before it validates it: nulls of fields that cannot be null are
 * dropped (so that their defaults apply), and unknown fields are reported or pruned.
 */

export interface Prepared {
  readonly value: unknown;
  /** Paths of unknown fields, such as `spec.podTemplate.spec.tolerations[0].operater`. */
  readonly unknownFields: readonly string[];
}

/** @param at path of the value, such as `spec` */
export function prepare(value: unknown, schema: StructuralSchema, at: string): Prepared {
  const unknownFields: string[] = [];
  return { value: walk(value, schema, at, unknownFields), unknownFields };
}

function walk(value: unknown, schema: StructuralSchema, at: string, unknown: string[]): unknown {
  const { items } = schema;
  if (Array.isArray(value)) {
    return items ? value.map((item, index) => walk(item, items, `${at}[${index}]`, unknown)) : value;
  }
  if (typeof value !== 'object' || value === null) return value;
  const members: [string, unknown][] = [];
  for (const [name, member] of Object.entries(value)) {
    const path = `${at}.${name}`;
    const known = fieldSchema(schema, name);
    if (known === undefined) unknown.push(path);
    else if (member !== null) members.push([name, walk(member, known, path, unknown)]);
  }
  return Object.fromEntries(members);
}

function fieldSchema(
  { properties, additionalProperties }: StructuralSchema,
  name: string,
): StructuralSchema | undefined {
  if (properties && Object.hasOwn(properties, name)) return properties[name];
  return additionalProperties;
}
