import * as z from 'zod';

/**
 * `metadata` of a custom resource, as far as this project reads it. The remaining fields of Kubernetes are
 * known, so that they are not taken for spelling mistakes, and dropped.
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

export const ObjectMetaInput = z.strictObject({
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
  deletionGracePeriodSeconds: z.int().optional(),
  generateName: z.string().optional(),
  managedFields: z.array(z.looseObject({})).optional(),
  selfLink: z.string().optional(),
});

/** `metadata` with a namespace, which every stored Registry has. */
export type ObjectMeta = Omit<
  z.infer<typeof ObjectMetaInput>,
  'namespace' | 'generateName' | 'managedFields' | 'selfLink' | 'deletionGracePeriodSeconds'
> & { namespace: string };
