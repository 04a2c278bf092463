import * as z from 'zod';

import {
  annotations,
  fromKubernetes,
  atomicList,
  int32,
  labels,
  mapOf,
  obj,
  quantity,
  text,
} from '../schema.ts';
import { Affinity, Toleration, TopologySpreadConstraint } from './pod-scheduling.ts';

/** What a user may say of the Pods: `spec.resources` and `spec.podTemplate`. */

const MAX_RESOURCES = 16;

function resourceList(description: string): z.ZodRecord<z.ZodString, ReturnType<typeof quantity>> {
  return mapOf(description, quantity('A quantity, for example 500m or 128Mi.'), MAX_RESOURCES);
}

export const Resources = obj(
  'Resources of the registry container, as in a Pod. Unset is a request of 96Mi and a limit of 512Mi of memory.',
  {
    limits: resourceList('Most that the container may use.').optional(),
    requests: resourceList('What the scheduler reserves.').optional(),
  },
);
export type Resources = z.infer<typeof Resources>;

const PodSecurityContext = obj('Security context of the pods.', {
  fsGroup: z.int().min(0).meta({ description: 'Group that owns the volume. Unset is 65532.' }).optional(),
  runAsUser: z
    .int()
    .min(1)
    .meta({ description: 'User of the processes; never root. Unset is 65532.' })
    .optional(),
  runAsGroup: z.int().min(1).meta({ description: 'Group of the processes. Unset is 65532.' }).optional(),
});

const PodTemplateSpec = obj('Parts of a PodSpec.', {
  nodeSelector: labels('Node labels that a node must have.').optional(),
  tolerations: fromKubernetes(
    'Tolerations, as in a Pod.',
    atomicList('Tolerations, as in a Pod.', Toleration, { max: 32 }),
  ).optional(),
  affinity: fromKubernetes('Affinity, as in a Pod.', Affinity).optional(),
  topologySpreadConstraints: fromKubernetes(
    'Topology spread, as in a Pod; labelSelector and matchLabelKeys are filled in.',
    atomicList('Topology spread, as in a Pod.', TopologySpreadConstraint, { max: 8 }),
  ).optional(),
  priorityClassName: text('PriorityClass.').optional(),
  runtimeClassName: text('RuntimeClass.').optional(),
  securityContext: PodSecurityContext.optional(),
  terminationGracePeriodSeconds: int32(
    'Seconds that running transfers get to end, and that the server gets to close down after them. Unset is 40.',
    0,
    3600,
  ).optional(),
});

export const PodTemplate = obj('Overlay of the pods.', {
  metadata: obj('Metadata of the pods.', {
    labels: labels('Labels.').optional(),
    annotations: annotations('Annotations.').optional(),
  }).optional(),
  spec: PodTemplateSpec.optional(),
});
export type PodTemplate = z.infer<typeof PodTemplate>;
