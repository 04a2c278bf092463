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

export const ObjectMetaInput = z.object({
  name: z.string().max(MAX_NAME_LENGTH),
  namespace: z.string().optional(),
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
