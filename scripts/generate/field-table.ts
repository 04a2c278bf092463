/** Markdown tables of the fields of a schema, for the resource and for the configuration file alike. */

/** The parts of JSON Schema that the tables tell. */
export interface FieldSchema {
  readonly type?: unknown;
  readonly description?: unknown;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: unknown;
  readonly pattern?: unknown;
  readonly format?: unknown;
  readonly minimum?: unknown;
  readonly exclusiveMinimum?: unknown;
  readonly maximum?: unknown;
  readonly minLength?: unknown;
  readonly maxLength?: unknown;
  readonly minItems?: unknown;
  readonly maxItems?: unknown;
  readonly required?: unknown;
  readonly properties?: unknown;
  readonly items?: unknown;
  readonly additionalProperties?: unknown;
  readonly oneOf?: unknown;
  readonly anyOf?: unknown;
  readonly 'x-kubernetes-int-or-string'?: unknown;
}

export interface Field {
  readonly path: string;
  readonly schema: FieldSchema;
  readonly required: boolean;
}

/** The fields of an object in the order of the schema. */
export function fieldsOf(schema: FieldSchema, path: string): Field[] {
  const required: unknown[] = Array.isArray(schema.required) ? schema.required : [];
  return Object.entries(asSchema(schema.properties)).map(([name, value]) => ({
    path: path === '' ? name : `${path}.${name}`,
    schema: asSchema(value),
    required: required.includes(name) && asSchema(value).default === undefined,
  }));
}

/** A field and everything below it; parts without descriptions are those that Kubernetes documents. */
export function flatten(field: Field): Field[] {
  const { schema, path } = field;
  const items = asSchema(schema.items);
  const below =
    schema.type === 'array' && items.type === 'object'
      ? fieldsOf(items, `${path}[]`)
      : fieldsOf(schema, path);
  return [field, ...below.filter((child) => child.schema.description !== undefined).flatMap(flatten)];
}

export function fieldTable(fields: readonly Field[]): string {
  const rows = fields.map(({ path, schema, required }) => {
    const presence = required ? '**required**' : defaultText(schema);
    return `| \`${path}\` | ${typeText(schema)} | ${presence} | ${cell(words(schema.description))} |`;
  });
  return ['| Field | Type | Default | Meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

/** Text that does not end a cell of a table. */
export function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

/** A text, or nothing when it is none. */
export function words(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Anything as a schema; what is none has no members. */
export function asSchema(value: unknown): FieldSchema {
  return typeof value === 'object' && value !== null ? value : {};
}

function defaultText({ default: value }: FieldSchema): string {
  if (value === undefined || JSON.stringify(value) === '{}') return '';
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

function typeText(schema: FieldSchema): string {
  if (schema.const !== undefined) return `\`${words(schema.const)}\``;
  if (schema['x-kubernetes-int-or-string'] === true) return 'quantity';
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => `\`${value}\``).join(', ');
  if (Array.isArray(schema.anyOf)) return alternatives(schema.anyOf);
  switch (schema.type) {
    case 'string':
      return stringText(schema);
    case 'integer':
      return `integer${range(schema.minimum, schema.maximum)}`;
    case 'number':
      return typeof schema.exclusiveMinimum === 'number'
        ? `number (above ${schema.exclusiveMinimum})`
        : 'number';
    case 'array':
      return `list${range(schema.minItems, schema.maxItems, ' items')} of ${typeText(asSchema(schema.items))}`;
    case 'object':
      return objectText(schema);
    default:
      return words(schema.type);
  }
}

/** Each kind once: several spellings of a text are one string. */
function alternatives(schemas: readonly unknown[]): string {
  return [...new Set(schemas.map((schema) => typeText(asSchema(schema))))].join(' or ');
}

function stringText({ format, minLength, maxLength }: FieldSchema): string {
  if (format === 'date-time') return 'time';
  return `string${range(minLength, maxLength, ' characters')}`;
}

function objectText({ additionalProperties }: FieldSchema): string {
  const values = asSchema(additionalProperties);
  return values.type === undefined && values['x-kubernetes-int-or-string'] === undefined
    ? 'object'
    : `map of ${typeText(values)}`;
}

/** ` (1 to 5)`; the bounds of JavaScript's numbers are none. */
function range(min: unknown, max: unknown, unit = ''): string {
  const least = typeof min === 'number' && min > Number.MIN_SAFE_INTEGER ? min : undefined;
  const most = typeof max === 'number' && max < Number.MAX_SAFE_INTEGER ? max : undefined;
  if (least === undefined && most === undefined) return '';
  if (least === undefined) return ` (at most ${most}${unit})`;
  return most === undefined ? ` (at least ${least}${unit})` : ` (${least} to ${most}${unit})`;
}
