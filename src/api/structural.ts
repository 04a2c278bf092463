import * as z from 'zod';

import { FROM_KUBERNETES } from './schema.ts';

/**
 * zod → structural schema of a CustomResourceDefinition (apiextensions.k8s.io/v1). Whatever a structural schema
 * cannot say makes it throw, so that nothing that the parser checks is silently missing in the cluster.
 */

/** A CEL rule as the CustomResourceDefinition carries it. */
export interface ValidationRule {
  readonly rule: string;
  readonly message: string;
  readonly messageExpression?: string;
  readonly fieldPath?: string;
  readonly reason?: string;
}

export interface StructuralSchema {
  type?: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  description?: string;
  format?: string;
  default?: unknown;
  enum?: string[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
  required?: string[];
  properties?: Record<string, StructuralSchema>;
  items?: StructuralSchema;
  additionalProperties?: StructuralSchema;
  anyOf?: { type: 'integer' | 'string' }[];
  'x-kubernetes-int-or-string'?: true;
  'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-map-type'?: 'atomic';
  'x-kubernetes-validations'?: ValidationRule[];
}

/** What zod may emit; a key that is not named here cannot be part of a structural schema. */
const Emitted = z.strictObject({
  type: z.enum(['object', 'array', 'string', 'integer', 'boolean']).optional(),
  description: z.string().optional(),
  format: z.enum(['date-time']).optional(),
  default: z.unknown().optional(),
  enum: z.array(z.string()).optional(),
  pattern: z.string().optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  minLength: z.number().optional(),
  maxLength: z.number().optional(),
  minItems: z.number().optional(),
  maxItems: z.number().optional(),
  maxProperties: z.number().optional(),
  required: z.array(z.string()).optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
  items: z.unknown().optional(),
  additionalProperties: z.unknown().optional(),
  anyOf: z.array(z.unknown()).optional(),
  'x-kubernetes-int-or-string': z.literal(true).optional(),
  'x-kubernetes-list-type': z.enum(['atomic', 'set', 'map']).optional(),
  'x-kubernetes-list-map-keys': z.array(z.string()).optional(),
  'x-kubernetes-map-type': z.enum(['atomic']).optional(),
  [FROM_KUBERNETES]: z.literal(true).optional(),
});
type Emitted = z.infer<typeof Emitted>;

const INT_OR_STRING: { type: 'integer' | 'string' }[] = [{ type: 'integer' }, { type: 'string' }];
const INT32 = { min: -2_147_483_648, max: 2_147_483_647 };

/** YAML 1.1 reads these as booleans, and so does kubectl. */
const YAML_BOOLEANS = /^(y|yes|n|no|on|off|true|false)$/i;

/**
 * The structural schema of what users write.
 *
 * @param at path of the schema, for messages, such as `spec`
 * @throws Error naming the path when the schema cannot be represented
 */
export function structuralSchema(schema: z.ZodType, at: string): StructuralSchema {
  const { $schema: _dialect, ...emitted } = z.toJSONSchema(schema, {
    target: 'openapi-3.0',
    io: 'input',
    unrepresentable: 'throw',
    reused: 'inline',
    cycles: 'throw',
  });
  return clean(emitted, at, { described: true });
}

interface Context {
  /** Every field needs a description: not so in the parts taken over from Kubernetes. */
  readonly described: boolean;
}

function clean(emitted: unknown, at: string, context: Context): StructuralSchema {
  const parsed = Emitted.safeParse(emitted);
  if (!parsed.success) throw new Error(`${at}: ${z.prettifyError(parsed.error)}`);
  const reason = unrepresentable(parsed.data, context);
  if (reason !== undefined) throw new Error(`${at}: ${reason}`);
  const {
    additionalProperties,
    properties,
    items,
    anyOf: _anyOf,
    [FROM_KUBERNETES]: fromKubernetes,
    ...rest
  } = parsed.data;
  if (rest['x-kubernetes-int-or-string']) return defined({ ...rest, anyOf: INT_OR_STRING });
  const below = { described: context.described && fromKubernetes !== true };
  return defined({
    ...rest,
    ...(rest.type === 'integer' ? integerBounds(rest) : {}),
    properties: properties && cleanAll(properties, at, below),
    items: items === undefined ? undefined : clean(items, `${at}[]`, below),
    additionalProperties: mapValues(additionalProperties, at, below),
  });
}

/** Why a schema cannot be part of the CustomResourceDefinition. */
function unrepresentable(emitted: Emitted, { described }: Context): string | undefined {
  if (described && emitted.description === undefined) return 'has no description';
  const booleanWord = emitted.enum?.find((value) => YAML_BOOLEANS.test(value));
  if (described && booleanWord !== undefined) return `YAML 1.1 reads ${booleanWord} as a boolean`;
  if (emitted['x-kubernetes-int-or-string']) return undefined;
  if (emitted.anyOf) return 'of all unions only int-or-string can be represented';
  if (emitted.type === undefined) return 'has no type';
  if (emitted.type === 'array' && emitted['x-kubernetes-list-type'] === undefined) return 'has no list type';
  return undefined;
}

function cleanAll(
  properties: Record<string, unknown>,
  at: string,
  context: Context,
): Record<string, StructuralSchema> {
  return Object.fromEntries(
    Object.entries(properties).map(([name, value]) => [name, clean(value, `${at}.${name}`, context)]),
  );
}

/** Strict objects emit `false`, which a CustomResourceDefinition refuses beside properties. */
function mapValues(value: unknown, at: string, context: Context): StructuralSchema | undefined {
  if (value === undefined || value === false) return undefined;
  return clean(value, `${at}{}`, { ...context, described: false });
}

/** Leaves out the bounds of JavaScript's and of 32 bit numbers and says the format instead. */
function integerBounds({
  minimum = Number.MIN_SAFE_INTEGER,
  maximum = Number.MAX_SAFE_INTEGER,
}: Emitted): Pick<Emitted, 'minimum' | 'maximum'> & { format: string } {
  const fits32 = minimum >= INT32.min && maximum <= INT32.max;
  return {
    minimum: minimum <= INT32.min ? undefined : minimum,
    maximum: maximum === INT32.max || maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum,
    format: fits32 ? 'int32' : 'int64',
  };
}

/** Without the members that are undefined. */
function defined(members: Record<string, unknown>): StructuralSchema {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}
