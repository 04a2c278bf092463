import type { RegistryStatus } from '../../../api/v1alpha1/registry.ts';
import { liveObject } from './checks/ownership.ts';
import { conditions, type ConditionState, type Situation } from './conditions.ts';
import { servesOwnCertificate } from './mounted.ts';
import { read } from './read.ts';
import { selectorText } from './resources/labels.ts';
import { endpoint, objectNames } from './resources/names.ts';
import { claimName } from './resources/pvc.ts';
import { rolloutOf } from './rollout.ts';

/** Status whose conditions have no times yet. */
export interface StatusState extends Omit<RegistryStatus, 'conditions'> {
  readonly conditions: readonly ConditionState[];
}

/** What is told of a Registry. */
export function statusOf(situation: Situation): StatusState {
  const { registry, facts, wantedHash } = situation;
  const names = objectNames(registry.metadata.name);
  const { replicas, ready, updated } = rolloutOf(liveObject(facts, { kind: 'Deployment', name: names.base }));
  const address = endpoint(registry);
  const scheme = registry.spec.tls.type === 'None' ? 'http' : 'https';
  return {
    ...(registry.metadata.generation === undefined
      ? {}
      : { observedGeneration: registry.metadata.generation }),
    replicas,
    readyReplicas: ready,
    updatedReplicas: updated,
    selector: selectorText(registry),
    ...versionOf(situation),
    endpoint: address,
    endpoints: [{ name: 'ClusterIP', url: `${scheme}://${address}` }],
    ...(hasPublishedCa(situation) ? { caConfigMapName: names.ca } : {}),
    ...certificateOf(situation),
    ...storageOf(situation),
    ...(wantedHash === undefined ? {} : { config: configOf(situation, wantedHash) }),
    conditions: conditions(situation),
  };
}

/** There is a CA to trust: of the wanted certificate, or of the one that pods serve until that can be used. */
function hasPublishedCa({ registry, facts }: Situation): boolean {
  if (facts.certificate?.caCertificate !== undefined) return true;
  const published = liveObject(facts, { kind: 'ConfigMap', name: objectNames(registry.metadata.name).ca });
  return published !== undefined && servesOwnCertificate(registry, facts);
}

/** The version of the newest pod that answers. */
function versionOf({ facts }: Situation): Pick<RegistryStatus, 'version'> {
  const newest = facts.pods.findLast(({ version }) => version !== undefined);
  return newest?.version === undefined ? {} : { version: newest.version };
}

function configOf({ facts }: Situation, hash: string): RegistryStatus['config'] {
  return { hash, loadedReplicas: facts.pods.filter(({ loadedHash }) => loadedHash === hash).length };
}

function certificateOf({ registry, facts }: Situation): Pick<RegistryStatus, 'certificate'> {
  const { certificate } = facts;
  if (certificate === undefined || registry.spec.tls.type === 'None') return {};
  const { info, renewalTime } = certificate;
  const secretName = registry.spec.tls.secretRef?.name ?? objectNames(registry.metadata.name).tls;
  return {
    certificate: {
      secretName,
      ...(info ? { notAfter: time(info.notAfter), sha256Fingerprint: info.sha256Fingerprint } : {}),
      ...(renewalTime ? { renewalTime: time(renewalTime) } : {}),
    },
  };
}

function storageOf({ registry, facts }: Situation): Pick<RegistryStatus, 'storage'> {
  const name = claimName(registry);
  if (name === undefined) return {};
  const claim = facts.existingClaim ?? liveObject(facts, { kind: 'PersistentVolumeClaim', name });
  const capacity = read(claim, 'status', 'capacity', 'storage');
  return {
    storage: { claimName: name, ...(typeof capacity === 'string' ? { capacity } : {}) },
  };
}

/** RFC 3339 without fractions, as Kubernetes writes times. */
function time(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}
