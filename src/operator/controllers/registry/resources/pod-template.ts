import { ANNOTATIONS, PORTS } from '../../../../api/group.ts';
import type { Registry, RegistrySpec } from '../../../../api/v1alpha1/registry.ts';
import type { Facts } from '../facts.ts';
import type { Placement } from '../placement.ts';
import { gracePeriodSeconds } from './config.ts';
import { labels, selectorLabels } from './labels.ts';
import { objectNames } from './names.ts';
import { probes } from './probes.ts';
import { podVolumes } from './storage-volumes.ts';

/** User and group of the processes in the image. */
const USER = 65_532;

const DEFAULT_RESOURCES = { requests: { memory: '96Mi' }, limits: { memory: '512Mi' } };

/** Spreads over nodes and zones where there are several, and never keeps a pod from running. */
const DEFAULT_SPREAD = ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'].map((topologyKey) => ({
  maxSkew: 1,
  topologyKey,
  whenUnsatisfiable: 'ScheduleAnyway',
}));

/** Fields of the overlay that are handed on as they are. */
const SCHEDULING_FIELDS = [
  'nodeSelector',
  'tolerations',
  'affinity',
  'priorityClassName',
  'runtimeClassName',
] as const;

/** Counts the pods of each revision by themselves, so that a rollout does not unbalance them. */
const REVISION_LABEL = 'pod-template-hash';

/**
 * The pods: one container with what the restricted Pod Security Standard allows.
 *
 * @param restartHash changes when something does that a running server cannot take over
 */
export function podTemplate(
  registry: Registry,
  facts: Facts,
  placement: Placement,
  restartHash: string,
): { metadata: object; spec: object } {
  const { spec } = registry;
  const volumes = podVolumes(registry, placement);
  const overlay = spec.podTemplate?.metadata;
  return {
    metadata: {
      labels: { ...overlay?.labels, ...labels(registry) },
      annotations: { ...overlay?.annotations, [ANNOTATIONS.restartHash]: restartHash },
    },
    spec: {
      ...schedulingOf(registry),
      serviceAccountName: objectNames(registry.metadata.name).base,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: gracePeriodSeconds(spec),
      securityContext: podSecurityContext(spec),
      ...(spec.imagePullSecrets ? { imagePullSecrets: spec.imagePullSecrets } : {}),
      containers: [
        container(
          spec,
          facts,
          placement,
          volumes.map(({ mount }) => mount),
        ),
      ],
      volumes: volumes.map(({ volume }) => volume),
    },
  };
}

function container(spec: RegistrySpec, facts: Facts, placement: Placement, volumeMounts: object[]): object {
  return {
    name: 'registry',
    image: spec.image ?? facts.operator.image,
    ...(spec.imagePullPolicy === undefined ? {} : { imagePullPolicy: spec.imagePullPolicy }),
    args: ['serve', '--config', placement.configFile],
    ports: [
      { name: 'registry', containerPort: PORTS.registry, protocol: 'TCP' },
      { name: 'ops', containerPort: PORTS.ops, protocol: 'TCP' },
    ],
    resources: spec.resources ?? DEFAULT_RESOURCES,
    ...probes(),
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      privileged: false,
      readOnlyRootFilesystem: true,
    },
    volumeMounts,
  };
}

function podSecurityContext(spec: RegistrySpec): object {
  const overlay = spec.podTemplate?.spec?.securityContext;
  return {
    runAsNonRoot: true,
    runAsUser: overlay?.runAsUser ?? USER,
    runAsGroup: overlay?.runAsGroup ?? USER,
    fsGroup: overlay?.fsGroup ?? USER,
    fsGroupChangePolicy: 'OnRootMismatch',
    seccompProfile: { type: 'RuntimeDefault' },
  };
}

/** The parts of the overlay that decide where pods run, and the default spread. */
function schedulingOf(registry: Registry): object {
  const overlay = registry.spec.podTemplate?.spec;
  const fields = SCHEDULING_FIELDS.map((field) => [field, overlay?.[field]] as const);
  const constraints = overlay?.topologySpreadConstraints ?? DEFAULT_SPREAD;
  const ours = { labelSelector: { matchLabels: selectorLabels(registry) }, matchLabelKeys: [REVISION_LABEL] };
  return {
    ...Object.fromEntries(fields.filter(([, value]) => value !== undefined)),
    topologySpreadConstraints: constraints.map((constraint) => Object.assign({}, ours, constraint)),
  };
}
