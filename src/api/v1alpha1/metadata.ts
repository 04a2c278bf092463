import * as z from 'zod';

/**
 * `metadata` of a custom resource, as far as this project reads it.
 */

const OwnerReference = z.strictObject({
  apiVersion: z.string(),
  kind: z.string(),
  name: z.string(),
  uid: z.string(),
  controller: z.boolean().optional(),
  blockOwnerDeletion: z.boolean().optional(),
});

const strings = z.record(z.string(), z.string());

/** Longest name of a Registry: the names of its objects add up to ten characters and must stay below 64. */
export const MAX_NAME_LENGTH = 40;

const NAME = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const name = z
  .string()
  .max(MAX_NAME_LENGTH)
  .regex(
    new RegExp(`^${NAME}(\\.${NAME})*$`),
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
  );
const namespace = z
  .string()
  .max(63)
  .regex(
    new RegExp(`^${NAME}$`),
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
  );

export const ObjectMetaInput = z.object({
  name,
  namespace: namespace.optional(),
  uid: z.string().optional(),
  generation: z.int().optional(),
  resourceVersion: z.string().optional(),
  creationTimestamp: z.string().optional(),
  deletionTimestamp: z.string().optional(),
  labels: strings.optional(),
  annotations: strings.optional(),
  finalizers: z.array(z.string()).optional(),
  ownerReferences: z.array(OwnerReference).optional(),
});

/** Fields of `metadata` that exist and that nothing here reads. */
const UNREAD_FIELDS = ['deletionGracePeriodSeconds', 'generateName', 'managedFields', 'selfLink'];
export const METADATA_FIELDS: ReadonlySet<string> = new Set([
  ...Object.keys(ObjectMetaInput.shape),
  ...UNREAD_FIELDS,
]);

/** `metadata` with a namespace, which every stored Registry has. */
export type ObjectMeta = z.infer<typeof ObjectMetaInput> & { namespace: string };
