import * as z from 'zod';

import type { API_VERSION, REGISTRY_KIND } from '../group.ts';
import { int32, mapList, obj, reference, text, word } from '../schema.ts';
import { Auth } from './auth.ts';
import { Logging } from './logging.ts';
import type { ObjectMeta } from './metadata.ts';
import { Monitoring } from './monitoring.ts';
import { PodTemplate, Resources } from './pod.ts';
import type { RegistryStatus } from './status.ts';
import { Storage } from './storage.ts';
import { Tls } from './tls.ts';

export { Condition, CONDITION_TYPES, RegistryStatus } from './status.ts';
export type { ConditionType } from './status.ts';

/** What a Registry should be. The schema describes what users write; the type has every default filled in. */
export const RegistrySpec = obj('What the registry should be.', {
  replicas: int32('Number of pods. 0 stops the registry and keeps its content.', 0, 50).default(1),
  paused: z.boolean().meta({ description: 'Leave everything as it is until this is unset.' }).optional(),
  deletionPolicy: word('What happens to a volume that the operator created when the Registry is deleted.', [
    'Retain',
    'Delete',
  ]).default('Retain'),
  image: text(
    'Image of the registry server, by tag or digest; unset is the one that belongs to the operator.',
    { min: 1, max: 512 },
  ).optional(),
  imagePullPolicy: word('When the image is pulled, as in a Pod.', [
    'Always',
    'IfNotPresent',
    'Never',
  ]).optional(),
  imagePullSecrets: mapList(
    'Secrets for pulling the image, as in a Pod.',
    reference('Secret of type kubernetes.io/dockerconfigjson.'),
    { key: 'name', max: 8 },
  ).optional(),
  storage: Storage,
  tls: Tls.prefault({ type: 'SelfSigned' }),
  auth: Auth,
  logging: Logging.optional(),
  monitoring: Monitoring.optional(),
  resources: Resources.optional(),
  podTemplate: PodTemplate.optional(),
});
export type RegistrySpec = z.infer<typeof RegistrySpec>;

/** A Registry as the operator uses it: validated, with every default filled in. */
export interface Registry {
  readonly apiVersion: typeof API_VERSION;
  readonly kind: typeof REGISTRY_KIND;
  readonly metadata: ObjectMeta;
  readonly spec: RegistrySpec;
  readonly status?: RegistryStatus;
}
