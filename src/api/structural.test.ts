import { describe, expect, test } from 'vitest';
import * as z from 'zod';

import {
  atomicList,
  fromKubernetes,
  int32,
  labels,
  mapList,
  obj,
  quantity,
  reference,
  setList,
  text,
  word,
} from './schema.ts';
import { structuralSchema } from './structural.ts';

function structural(schema: z.ZodType): unknown {
  return structuralSchema(obj('An object.', { field: schema }), 'spec').properties?.['field'];
}

describe('what a CustomResourceDefinition can say', () => {
  test('strings and words', () => {
    expect(structural(text('Text.', { min: 1, max: 5 }))).toEqual({
      type: 'string',
      description: 'Text.',
      minLength: 1,
      maxLength: 5,
    });
    expect(structural(word('Word.', ['A', 'B']).default('A'))).toEqual({
      type: 'string',
      description: 'Word.',
      enum: ['A', 'B'],
      default: 'A',
    });
  });

  test('numbers with their format and without the bounds of JavaScript', () => {
    expect(structural(int32('Number.', 0, 9))).toMatchObject({ format: 'int32', minimum: 0, maximum: 9 });
    expect(structural(z.int32().describe('Number.'))).toEqual({
      type: 'integer',
      format: 'int32',
      description: 'Number.',
    });
    expect(structural(z.int().describe('Number.'))).toEqual({
      type: 'integer',
      format: 'int64',
      description: 'Number.',
    });
  });

  test('quantities', () => {
    expect(structural(quantity('Size.'))).toEqual({
      description: 'Size.',
      maxLength: 32,
      anyOf: [{ type: 'integer' }, { type: 'string' }],
      'x-kubernetes-int-or-string': true,
    });
  });

  test('objects, which lose what the API server refuses beside properties', () => {
    expect(structural(reference('A Secret.').optional())).toEqual({
      type: 'object',
      description: 'A Secret.',
      required: ['name'],
      properties: { name: expect.objectContaining({ type: 'string' }) },
    });
  });

  test('maps and lists', () => {
    expect(structural(labels('Labels.'))).toEqual({
      type: 'object',
      description: 'Labels.',
      maxProperties: 64,
      additionalProperties: { type: 'string', maxLength: 63 },
    });
    expect(structural(setList('Set.', text('Item.'), 3))).toMatchObject({
      maxItems: 3,
      'x-kubernetes-list-type': 'set',
    });
    expect(structural(mapList('Map.', reference('Item.'), { key: 'name', max: 3 }))).toMatchObject({
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    });
    expect(structural(atomicList('List.', text('Item.'), { min: 1, max: 2 }))).toMatchObject({ minItems: 1 });
  });

  test('parts of Kubernetes without descriptions of their own', () => {
    const part = fromKubernetes('As in a Pod.', z.strictObject({ key: z.string() }));

    expect(structural(part)).toEqual({
      type: 'object',
      description: 'As in a Pod.',
      required: ['key'],
      properties: { key: { type: 'string' } },
    });
  });
});

describe('what it cannot say', () => {
  test.each([
    ['a field without a description', z.string(), /spec\.field: has no description/],
    ['a union', z.union([z.string(), z.boolean()]).describe('x'), /of all unions only int-or-string/],
    ['anything', z.unknown().describe('x'), /spec\.field: has no type/],
    ['null', z.string().nullable().describe('x'), /spec\.field: .*nullable/s],
    ['a list without a list type', z.array(z.string()).describe('x'), /spec\.field: has no list type/],
    ['a word that YAML 1.1 reads as a boolean', word('x', ['On', 'Auto']), /YAML 1\.1 reads On as a boolean/],
    ['an open object', z.looseObject({}).describe('x'), /spec\.field\{\}: has no type/],
    ['a date', z.date().describe('x'), /Date cannot be represented/],
    ['a number with a fraction', z.number().describe('x'), /spec\.field: .*type/s],
  ])('%s', (_title, schema, message) => {
    expect(() => structural(schema)).toThrow(message);
  });
});
