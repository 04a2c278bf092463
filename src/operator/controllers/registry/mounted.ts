import type { Registry } from '../../../api/v1alpha1/registry.ts';
import { liveObject } from './checks/ownership.ts';
import type { Facts } from './facts.ts';
import { readList, readText } from './read.ts';
import { objectNames } from './resources/names.ts';

/** Whether the pods of the present Deployment mount a Secret. */
export function mountsSecret(registry: Registry, facts: Facts, secretName: string): boolean {
  const { base } = objectNames(registry.metadata.name);
  const volumes = readList(
    liveObject(facts, { kind: 'Deployment', name: base }),
    'spec',
    'template',
    'spec',
    'volumes',
  );
  return volumes.some((volume) => readText(volume, 'secret', 'secretName') === secretName);
}

/**
 * Whether the pods serve the certificate of the operator's CA, whatever the Registry wants by now: as long as they
 * do, clients need that CA.
 */
export function servesOwnCertificate(registry: Registry, facts: Facts): boolean {
  return mountsSecret(registry, facts, objectNames(registry.metadata.name).tls);
}
