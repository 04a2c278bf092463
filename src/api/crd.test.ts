import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';

import { registryCrd, registrySchema } from './crd.ts';
import type { StructuralSchema } from './structural.ts';
import { RULES } from './v1alpha1/rules.ts';

/** Annotation kubectl.kubernetes.io/last-applied-configuration holds the whole definition. */
const MAX_ANNOTATION_BYTES = 262_144;

function walk(schema: StructuralSchema, path: string): [string, StructuralSchema][] {
  const children: [string, StructuralSchema | undefined][] = [
    ...Object.entries(schema.properties ?? {}).map(([name, child]): [string, StructuralSchema] => [
      path === '' ? name : `${path}.${name}`,
      child,
    ]),
    [`${path}[]`, schema.items],
    [`${path}{}`, schema.additionalProperties],
  ];
  const below = children.flatMap(([childPath, child]) => (child ? walk(child, childPath) : []));
  return [[path, schema], ...below];
}

describe('the CustomResourceDefinition', () => {
  const places = walk(registrySchema(), '');

  test('carries every rule where it belongs', () => {
    const carried = places.flatMap(([path, schema]) =>
      (schema['x-kubernetes-validations'] ?? []).map(({ rule, message }) => ({ path, cel: rule, message })),
    );

    expect(carried).toHaveLength(RULES.length);
    expect(carried).toEqual(
      expect.arrayContaining(RULES.map(({ path, cel, message }) => ({ path, cel, message }))),
    );
  });

  test('points with every field path at a field that exists', () => {
    const paths = new Set(places.map(([path]) => path));
    const targets = RULES.map(({ path, fieldPath = '' }) => `${path}${fieldPath}`.replace(/^\./, ''));

    expect(targets.filter((target) => !paths.has(target))).toEqual([]);
  });

  test('fits into the annotation that kubectl apply writes', () => {
    expect(JSON.stringify(registryCrd()).length).toBeLessThan(MAX_ANNOTATION_BYTES / 2);
  });

  test('has no enum value that YAML 1.1 reads as a boolean, in what people write', () => {
    const words = places
      .filter(([path]) => path.startsWith('spec'))
      .flatMap(([, schema]) => schema.enum ?? []);

    expect(words.filter((value) => stringify(value, { version: '1.1' }).startsWith('"'))).toEqual([]);
  });
});
