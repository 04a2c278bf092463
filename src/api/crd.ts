import { GROUP, REGISTRY_KIND, REGISTRY_PLURAL, VERSION } from './group.ts';
import { type StructuralSchema, type ValidationRule, structuralSchema } from './structural.ts';
import { MAX_NAME_LENGTH } from './v1alpha1/metadata.ts';
import { RegistrySpec, RegistryStatus } from './v1alpha1/registry.ts';
import type { Rule } from './v1alpha1/rule.ts';
import { RULES } from './v1alpha1/rules.ts';

/** The CustomResourceDefinition of Registry, from the schemas and the rules in `v1alpha1/`. */

const CRD_NAME = `${REGISTRY_PLURAL}.${GROUP}`;

/** apiextensions.k8s.io/v1 CustomResourceDefinition, without the metadata that a packager adds. */
export interface CustomResourceDefinition {
  readonly apiVersion: 'apiextensions.k8s.io/v1';
  readonly kind: 'CustomResourceDefinition';
  readonly metadata: { readonly name: string };
  readonly spec: Readonly<Record<string, unknown>>;
}

export function registryCrd(): CustomResourceDefinition {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: CRD_NAME },
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: {
        kind: REGISTRY_KIND,
        listKind: `${REGISTRY_KIND}List`,
        plural: REGISTRY_PLURAL,
        singular: 'registry',
        shortNames: ['reg'],
        categories: ['all'],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: {
            status: {},
            scale: {
              specReplicasPath: '.spec.replicas',
              statusReplicasPath: '.status.replicas',
              labelSelectorPath: '.status.selector',
            },
          },
          selectableFields: [{ jsonPath: '.spec.storage.type' }],
          additionalPrinterColumns: PRINTER_COLUMNS,
          schema: { openAPIV3Schema: registrySchema() },
        },
      ],
    },
  };
}

/** The end of the certificate is a string: a date column shows times to come as invalid. */
const PRINTER_COLUMNS = [
  { name: 'Ready', type: 'string', jsonPath: ".status.conditions[?(@.type=='Ready')].status" },
  { name: 'Reason', type: 'string', jsonPath: ".status.conditions[?(@.type=='Ready')].reason" },
  { name: 'Endpoint', type: 'string', jsonPath: '.status.endpoint' },
  { name: 'Storage', type: 'string', jsonPath: '.spec.storage.type' },
  { name: 'Replicas', type: 'integer', jsonPath: '.status.readyReplicas', description: 'Ready pods' },
  { name: 'Version', type: 'string', jsonPath: '.status.version', priority: 1 },
  { name: 'Cert-Expiry', type: 'string', jsonPath: '.status.certificate.notAfter', priority: 1 },
  {
    name: 'Message',
    type: 'string',
    jsonPath: ".status.conditions[?(@.type=='Ready')].message",
    priority: 1,
  },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
];

/** The whole object, rules included; also what the reference documentation is written from. */
export function registrySchema(): StructuralSchema {
  const schema: StructuralSchema = {
    type: 'object',
    description: 'Registry is an OCI registry that runs in the cluster.',
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object', properties: { name: { type: 'string', maxLength: MAX_NAME_LENGTH } } },
      spec: structuralSchema(RegistrySpec, 'spec'),
      status: structuralSchema(RegistryStatus, 'status'),
    },
  };
  for (const rule of RULES) {
    const place = schemaAt(schema, rule.path);
    place['x-kubernetes-validations'] = [...(place['x-kubernetes-validations'] ?? []), celRule(rule)];
  }
  return schema;
}

function celRule({ cel, message, messageExpression, fieldPath, reason }: Rule): ValidationRule {
  return {
    rule: cel,
    message,
    ...(messageExpression === undefined ? {} : { messageExpression }),
    ...(fieldPath === undefined ? {} : { fieldPath }),
    ...(reason === undefined ? {} : { reason }),
  };
}

/**
 * The schema at the path of a rule.
 *
 * @throws Error when there is none: the rule speaks of a field that does not exist
 */
function schemaAt(root: StructuralSchema, path: string): StructuralSchema {
  const steps = path.match(/[^.[\]{}]+|\[\]|\{\}/g) ?? [];
  return steps.reduce((schema, step) => {
    const next =
      step === '[]' ? schema.items : step === '{}' ? schema.additionalProperties : schema.properties?.[step];
    if (next === undefined) throw new Error(`rule at ${path}: there is no such field`);
    return next;
  }, root);
}
