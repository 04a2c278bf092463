import * as z from 'zod';

import { prepare } from '../document.ts';
import { API_VERSION, REGISTRY_KIND } from '../group.ts';
import { structuralSchema } from '../structural.ts';
import { METADATA_FIELDS, type ObjectMeta, ObjectMetaInput } from './metadata.ts';
import { describeIssue, describeViolation, unknownField } from './problems.ts';
import { type Registry, RegistrySpec, RegistryStatus } from './registry.ts';
import { RULES } from './rules.ts';

/**
 * Reads a Registry like the API server does: drops nulls, fills in defaults, refuses unknown fields, checks
 * the schema and then the rules, and says what is wrong in the same words.
 */

export type ParseResult =
  | { readonly registry: Registry; readonly errors?: undefined }
  | { readonly errors: string[]; readonly registry?: undefined };

export interface ParseOptions {
  /** `Refuse` for what people write; `Prune` for what a cluster has stored, perhaps for a newer operator. */
  readonly unknownFields?: 'Refuse' | 'Prune';
}

const specSchema = structuralSchema(RegistrySpec, 'spec');
const statusSchema = structuralSchema(RegistryStatus, 'status');

const TopLevel = z.object({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal(REGISTRY_KIND),
  metadata: z.looseObject({}),
  spec: z.unknown().optional(),
  status: z.unknown().optional(),
});
const TOP_LEVEL_FIELDS = new Set(Object.keys(TopLevel.shape));

/**
 * @param object a Registry as it comes from a file or from the API server
 * @param old the Registry that it replaces; the rules on changes run only then
 * @returns the Registry with every default filled in, or every problem that was found, one sentence each
 */
export function parseRegistry(object: unknown, old?: Registry, options: ParseOptions = {}): ParseResult {
  const top = TopLevel.safeParse(object);
  if (!top.success) return { errors: top.error.issues.map((issue) => describeIssue(issue, object, '')) };
  const unknown = Object.keys(Object(object)).filter((name) => !TOP_LEVEL_FIELDS.has(name));

  const metadata = parseMetadata(top.data.metadata);
  const spec = prepare(top.data.spec ?? undefined, specSchema, 'spec');
  const status = prepare(top.data.status ?? undefined, statusSchema, 'status');
  const errors = [...metadata.errors];
  if (options.unknownFields !== 'Prune') {
    const paths = [...unknown, ...metadata.unknownFields, ...spec.unknownFields, ...status.unknownFields];
    errors.unshift(...paths.toSorted().map((path) => unknownField(path)));
  }
  const parsed = RegistrySpec.safeParse(spec.value);
  if (!parsed.success)
    errors.push(...parsed.error.issues.map((issue) => describeIssue(issue, spec.value, 'spec')));
  if (!parsed.success || !metadata.value || errors.length > 0) return { errors };

  const registry: Registry = {
    apiVersion: API_VERSION,
    kind: REGISTRY_KIND,
    metadata: metadata.value,
    spec: parsed.data,
    ...parseStatus(status.value),
  };
  const violations = RULES.flatMap((rule) => rule.check(registry, old));
  if (violations.length > 0) return { errors: violations.map((violation) => describeViolation(violation)) };
  return { registry };
}

interface ParsedMetadata {
  readonly value?: ObjectMeta;
  readonly errors: readonly string[];
  readonly unknownFields: readonly string[];
}

function parseMetadata(metadata: Record<string, unknown>): ParsedMetadata {
  const present = Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== null));
  const unknownFields = Object.keys(present)
    .filter((name) => !METADATA_FIELDS.has(name))
    .map((name) => `metadata.${name}`);
  const parsed = ObjectMetaInput.safeParse(present);
  if (!parsed.success) {
    return {
      unknownFields,
      errors: parsed.error.issues.map((issue) => describeIssue(issue, present, 'metadata')),
    };
  }
  const namespace = parsed.data.namespace ?? 'default';
  return { unknownFields, errors: [], value: { ...parsed.data, namespace } };
}

/** The API server takes no status from those who write the spec, so that a wrong one is no error. */
function parseStatus(value: unknown): { status?: RegistryStatus } {
  const parsed = RegistryStatus.safeParse(value);
  return parsed.success ? { status: parsed.data } : {};
}
