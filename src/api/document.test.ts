import { describe, expect, test } from 'vitest';

import { prepare } from './document.ts';
import type { StructuralSchema } from './structural.ts';

const schema: StructuralSchema = {
  type: 'object',
  properties: {
    known: { type: 'string' },
    list: { type: 'array', items: { type: 'object', properties: { name: { type: 'string' } } } },
    map: { type: 'object', additionalProperties: { type: 'string' } },
  },
};

describe('prepare', () => {
  test('drops nulls of fields and of entries of maps, and keeps those of lists', () => {
    const { value, unknownFields } = prepare(
      { known: null, list: [null, { name: null }], map: { a: null, b: 'c' } },
      schema,
      'spec',
    );

    expect(value).toEqual({ list: [null, {}], map: { b: 'c' } });
    expect(unknownFields).toEqual([]);
  });

  test('reports and leaves out unknown fields, even when they are null or named like members of objects', () => {
    const document: unknown = JSON.parse(
      '{"known": "a", "other": null, "list": [{}, {"nmae": "b"}], "constructor": {}, "__proto__": {"known": 1}}',
    );

    const { value, unknownFields } = prepare(document, schema, 'spec');

    expect(value).toEqual({ known: 'a', list: [{}, {}] });
    expect(unknownFields.toSorted()).toEqual([
      'spec.__proto__',
      'spec.constructor',
      'spec.list[1].nmae',
      'spec.other',
    ]);
  });

  test('leaves what has the wrong type to the schema', () => {
    expect(prepare('text', schema, 'spec').value).toBe('text');
    expect(prepare({ map: [null] }, schema, 'spec').value).toEqual({ map: [null] });
  });
});
