import * as z from 'zod';

/**
 * The parts of a PodSpec that decide where Pods run, as `/openapi/v3` of Kubernetes 1.34 states them. They are
 * written out so that a misspelt field is refused instead of ignored; the fields are described by Kubernetes.
 */

const int32 = z.int32();
const strings = z.array(z.string()).meta({ 'x-kubernetes-list-type': 'atomic' });

function atomic<Item extends z.ZodType>(item: Item): z.ZodArray<Item> {
  return z.array(item).meta({ 'x-kubernetes-list-type': 'atomic' });
}

const LabelSelector = z
  .strictObject({
    matchExpressions: atomic(
      z.strictObject({ key: z.string(), operator: z.string(), values: strings.optional() }),
    ).optional(),
    matchLabels: z.record(z.string(), z.string()).optional(),
  })
  .meta({ 'x-kubernetes-map-type': 'atomic' });

const NodeSelectorRequirement = z.strictObject({
  key: z.string(),
  operator: z.enum(['DoesNotExist', 'Exists', 'Gt', 'In', 'Lt', 'NotIn']),
  values: strings.optional(),
});

const NodeSelectorTerm = z
  .strictObject({
    matchExpressions: atomic(NodeSelectorRequirement).optional(),
    matchFields: atomic(NodeSelectorRequirement).optional(),
  })
  .meta({ 'x-kubernetes-map-type': 'atomic' });

const NodeAffinity = z.strictObject({
  preferredDuringSchedulingIgnoredDuringExecution: atomic(
    z.strictObject({ preference: NodeSelectorTerm, weight: int32 }),
  ).optional(),
  requiredDuringSchedulingIgnoredDuringExecution: z
    .strictObject({ nodeSelectorTerms: atomic(NodeSelectorTerm) })
    .meta({ 'x-kubernetes-map-type': 'atomic' })
    .optional(),
});

const PodAffinityTerm = z.strictObject({
  labelSelector: LabelSelector.optional(),
  matchLabelKeys: strings.optional(),
  mismatchLabelKeys: strings.optional(),
  namespaceSelector: LabelSelector.optional(),
  namespaces: strings.optional(),
  topologyKey: z.string(),
});

const PodAffinity = z.strictObject({
  preferredDuringSchedulingIgnoredDuringExecution: atomic(
    z.strictObject({ podAffinityTerm: PodAffinityTerm, weight: int32 }),
  ).optional(),
  requiredDuringSchedulingIgnoredDuringExecution: atomic(PodAffinityTerm).optional(),
});

export const Affinity = z.strictObject({
  nodeAffinity: NodeAffinity.optional(),
  podAffinity: PodAffinity.optional(),
  podAntiAffinity: PodAffinity.optional(),
});
export type Affinity = z.infer<typeof Affinity>;

export const Toleration = z.strictObject({
  effect: z.enum(['NoExecute', 'NoSchedule', 'PreferNoSchedule']).optional(),
  key: z.string().optional(),
  operator: z.enum(['Equal', 'Exists']).optional(),
  tolerationSeconds: z.int().optional(),
  value: z.string().optional(),
});
export type Toleration = z.infer<typeof Toleration>;

export const TopologySpreadConstraint = z.strictObject({
  labelSelector: LabelSelector.optional(),
  matchLabelKeys: strings.optional(),
  maxSkew: int32,
  minDomains: int32.optional(),
  nodeAffinityPolicy: z.enum(['Honor', 'Ignore']).optional(),
  nodeTaintsPolicy: z.enum(['Honor', 'Ignore']).optional(),
  topologyKey: z.string(),
  whenUnsatisfiable: z.enum(['DoNotSchedule', 'ScheduleAnyway']),
});
export type TopologySpreadConstraint = z.infer<typeof TopologySpreadConstraint>;
