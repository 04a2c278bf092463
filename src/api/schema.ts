import * as z from 'zod';

/**
 * Building blocks of the custom resources: each is a zod schema that `structural.ts` can turn into a part of a
 * CustomResourceDefinition. Rules between fields are not here but in `v1alpha1/rules.ts`.
 *
 * Objects get their defaults by `.prefault()`, never by `.default()`: only then do the defaults of their own
 * fields run, as they do in the API server.
 */

/** Most entries of a map of labels, annotations or node labels. */
const MAX_ENTRIES = 64;

/** An object that refuses unknown fields. */
export function obj<Shape extends z.ZodRawShape>(
  description: string,
  shape: Shape,
): z.ZodObject<Shape, z.core.$strict> {
  return z.strictObject(shape).meta({ description });
}

/** A string of `min` to `max` characters. */
export function text(description: string, { min = 0, max = 253 } = {}): z.ZodString {
  const bounded = z.string().max(max);
  return (min === 0 ? bounded : bounded.min(min)).meta({ description });
}

/** One of some words. No word may be a YAML 1.1 boolean such as Off, On, Yes or No. */
export function word<const Words extends readonly string[]>(
  description: string,
  words: Words,
): z.ZodEnum<{ [Word in Words[number]]: Word }> {
  return z.enum(words).meta({ description });
}

/** A whole number within `min` and `max`. */
export function int32(description: string, min: number, max: number): z.ZodInt {
  return z.int().min(min).max(max).meta({ description });
}

/** A number as Kubernetes writes it, such as 100Gi or 1073741824. That it is one is a rule. */
export function quantity(description: string): z.ZodUnion<readonly [z.ZodInt, z.ZodString]> {
  return z
    .union([z.int(), z.string().max(32)])
    .meta({ description, maxLength: 32, 'x-kubernetes-int-or-string': true });
}

/** Values by key, at most `max` of them. */
export function mapOf<Value extends z.ZodType>(
  description: string,
  value: Value,
  max: number,
): z.ZodRecord<z.ZodString, Value> {
  return z
    .record(z.string(), value)
    .meta({ description, maxProperties: max })
    .refine((map) => Object.keys(map).length <= max, { params: { maxProperties: max } });
}

/** Labels; keys are checked when the object that carries them is made. */
export function labels(description: string): z.ZodRecord<z.ZodString, z.ZodString> {
  return mapOf(description, z.string().max(63), MAX_ENTRIES);
}

/** Annotations; keys are checked when the object that carries them is made. */
export function annotations(description: string): z.ZodRecord<z.ZodString, z.ZodString> {
  return mapOf(description, z.string().max(16_384), MAX_ENTRIES);
}

/** A list that is replaced as a whole when it is applied. */
export function atomicList<Item extends z.ZodType>(
  description: string,
  item: Item,
  { min = 0, max }: { min?: number; max: number },
): z.ZodArray<Item> {
  const bounded = z.array(item).max(max);
  return (min === 0 ? bounded : bounded.min(min)).meta({ description, 'x-kubernetes-list-type': 'atomic' });
}

/** A list of different strings, merged when it is applied by several. */
export function setList<Item extends z.ZodType<string>>(
  description: string,
  item: Item,
  max: number,
): z.ZodArray<Item> {
  return z
    .array(item)
    .max(max)
    .superRefine((list, context) => reportDuplicates(list, list, context))
    .meta({ description, 'x-kubernetes-list-type': 'set' });
}

/** A list whose items are named by one of their fields, merged by it when applied by several. */
export function mapList<Item extends z.ZodType<Record<string, unknown>>>(
  description: string,
  item: Item,
  { key, max }: { key: string; max: number },
): z.ZodArray<Item> {
  return z
    .array(item)
    .max(max)
    .superRefine((list, context) => {
      reportDuplicates(
        list.map((entry) => entry[key]),
        list.map((entry) => ({ [key]: entry[key] })),
        context,
      );
    })
    .meta({ description, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] });
}

function reportDuplicates(
  keys: readonly unknown[],
  shown: readonly unknown[],
  context: z.RefinementCtx,
): void {
  for (const [index, key] of keys.entries()) {
    if (keys.indexOf(key) === index) continue;
    context.addIssue({
      code: 'custom',
      path: [index],
      params: { duplicate: shown[index] },
      message: 'Duplicate value',
    });
  }
}

/** The name of another object in the same namespace. */
export const objectName = text('Name of the object, in the same namespace.', { min: 1 });

/** Points at another object in the same namespace. */
export function reference(description: string): z.ZodObject<{ name: z.ZodString }, z.core.$strict> {
  return obj(description, { name: objectName });
}

/**
 * Marks a part that is taken over from Kubernetes, whose documentation describes its fields, so that the
 * CustomResourceDefinition need not repeat it.
 */
export function fromKubernetes<Schema extends z.ZodType>(description: string, schema: Schema): Schema {
  return schema.meta({ description, [FROM_KUBERNETES]: true });
}

export const FROM_KUBERNETES = 'x-from-kubernetes';
