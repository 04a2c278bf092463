import * as z from 'zod';

import { fromKubernetes, int32, obj } from '../schema.ts';

/**
 * What the operator saw: `status`. Bounds are loose on purpose (except in the conditions, where they are those
 * of every Kubernetes condition): a too tight schema would make the operator's own status write fail.
 */

const MAX_INT32 = 2_147_483_647;

function string(description: string): z.ZodString {
  return z.string().meta({ description });
}

/** RFC 3339 time in UTC. */
function time(description: string): z.ZodString {
  return z.string().meta({ description, format: 'date-time' });
}

function count(description: string): z.ZodInt {
  return int32(description, 0, MAX_INT32);
}

function generation(description: string): z.ZodInt {
  return z.int().min(0).meta({ description });
}

function amount(description: string): z.ZodUnion<readonly [z.ZodInt, z.ZodString]> {
  return z.union([z.int(), z.string()]).meta({ description, 'x-kubernetes-int-or-string': true });
}

/** The conditions of a Registry; `Ready` sums up the others. */
export const CONDITION_TYPES = [
  'Ready',
  'Progressing',
  'StorageReady',
  'CertificateReady',
  'ConfigApplied',
] as const;
export type ConditionType = (typeof CONDITION_TYPES)[number];

export const Condition = obj('One aspect of the state.', {
  type: z
    .string()
    .max(316)
    .regex(
      /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$/,
    )
    .meta({ description: 'Name of the condition.' }),
  status: z.enum(['True', 'False', 'Unknown']).meta({ description: 'Whether it holds.' }),
  observedGeneration: generation('Generation of the spec that the condition is about.').optional(),
  lastTransitionTime: time('When status changed last.'),
  reason: z
    .string()
    .min(1)
    .max(1024)
    .regex(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/)
    .meta({ description: 'One word for programs.' }),
  message: z.string().max(32_768).meta({ description: 'A sentence for people.' }),
});
export type Condition = z.infer<typeof Condition>;

const Endpoint = obj('One address.', {
  name: string('Name of the way in; ClusterIP is the Service.'),
  url: string('URL.'),
});

const CertificateStatus = obj('Certificate that is served.', {
  secretName: string('Secret that holds it.').optional(),
  notAfter: time('End of validity.').optional(),
  renewalTime: time('Planned renewal.').optional(),
  sha256Fingerprint: string('SHA-256 of the served certificate.').optional(),
});

const StorageStatus = obj('Storage.', {
  claimName: string('PersistentVolumeClaim in use.').optional(),
  capacity: amount('Capacity of the volume, a quantity.').optional(),
  used: amount('Used part of it, a quantity.').optional(),
});

const ConfigStatus = obj('Configuration.', {
  hash: string('Hash of the wanted configuration and of the files it names.').optional(),
  loadedReplicas: count('Pods that have loaded it.').optional(),
});

export const RegistryStatus = obj('What the operator saw.', {
  observedGeneration: generation('Generation of the spec that this status is about.').optional(),
  replicas: count('Pods.').optional(),
  readyReplicas: count('Ready pods.').optional(),
  updatedReplicas: count('Pods of the newest revision.').optional(),
  selector: string('Label selector of the pods.').optional(),
  version: string('Version of the registry server.').optional(),
  endpoint: string('host:port to use in image names; the port is always written.').optional(),
  endpoints: z
    .array(Endpoint)
    .meta({
      description: 'All addresses.',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    })
    .optional(),
  caConfigMapName: string('ConfigMap with the CA bundle in key ca.crt.').optional(),
  certificate: CertificateStatus.optional(),
  storage: StorageStatus.optional(),
  config: ConfigStatus.optional(),
  conditions: fromKubernetes(
    `${CONDITION_TYPES.join(', ')}.`,
    z.array(Condition).meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] }),
  ).optional(),
});
export type RegistryStatus = z.infer<typeof RegistryStatus>;
