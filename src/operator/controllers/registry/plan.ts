import { compareQuantities } from '../../../api/quantity.ts';
import type { Registry } from '../../../api/v1alpha1/registry.ts';
import type { KubeObject } from '../../kube/types.ts';
import { liveObject } from './checks/ownership.ts';
import type { Violation } from './checks/violation.ts';
import type { Facts } from './facts.ts';
import { mountsSecret, servesOwnCertificate } from './mounted.ts';
import { read, readCount, readList, readText } from './read.ts';
import { inventory, type ObjectRef } from './resources/inventory.ts';
import { objectNames } from './resources/names.ts';
import { isOurs } from './resources/ownership.ts';

/** One step towards the desired state. */
export type Action =
  | { readonly type: 'apply'; readonly object: KubeObject; readonly live: KubeObject | undefined }
  | { readonly type: 'delete'; readonly live: KubeObject };

/**
 * Compares what should be with what is.
 *
 * @param wanted in order of apply
 * @returns first what is applied, in the order of `wanted`, then what is deleted. Objects that a violation holds,
 *   that belong to somebody else or that are on their way out have no action.
 */
export function plan(
  registry: Registry,
  facts: Facts,
  wanted: readonly KubeObject[],
  violations: readonly Violation[],
): Action[] {
  const held = violations.flatMap(({ holds }) => holds);
  return [...applyActions(registry, facts, wanted, held), ...deleteActions(registry, facts, held)];
}

function applyActions(
  registry: Registry,
  facts: Facts,
  wanted: readonly KubeObject[],
  held: readonly ObjectRef[],
): Action[] {
  return wanted
    .map((object) => ({ object, live: facts.live.find((live) => isSame(live, object)) }))
    .filter(({ object, live }) => !isHeld(held, object) && (live === undefined || isWritable(registry, live)))
    .map(({ object, live }) => ({ type: 'apply', object: keepingVolume(object, live), live }));
}

function deleteActions(registry: Registry, facts: Facts, held: readonly ObjectRef[]): Action[] {
  return inventory(registry, facts)
    .filter(({ wanted, removable }) => removable && !wanted)
    .flatMap((item) => liveObject(facts, item) ?? [])
    .filter((live) => isWritable(registry, live) && !isHeld(held, live) && !isInUse(registry, facts, live))
    .map((live) => ({ type: 'delete', live }));
}

function isWritable(registry: Registry, live: KubeObject): boolean {
  return isOurs(registry, live) && live.metadata.deletionTimestamp === undefined;
}

function isHeld(held: readonly ObjectRef[], object: KubeObject): boolean {
  return held.some(({ kind, name }) => kind === object.kind && name === object.metadata.name);
}

function isSame(a: KubeObject, b: KubeObject): boolean {
  return a.kind === b.kind && a.metadata.name === b.metadata.name;
}

/**
 * A Secret that pods mount, or that pods of the former revision may still mount; and the CA that clients need as long
 * as pods serve a certificate of it.
 */
function isInUse(registry: Registry, facts: Facts, live: KubeObject): boolean {
  if (live.kind !== 'Secret' && live.kind !== 'ConfigMap') return false;
  const { base, ca } = objectNames(registry.metadata.name);
  const pods = liveObject(facts, { kind: 'Deployment', name: base });
  if (pods === undefined) return false;
  if (live.metadata.name === ca && servesOwnCertificate(registry, facts)) return true;
  return mountsSecret(registry, facts, live.metadata.name) || !isRolledOut(pods);
}

/** Whether every pod of a Deployment is of its newest revision. */
export function isRolledOut(deployment: KubeObject): boolean {
  const { status } = deployment;
  const updated = readCount(status, 'updatedReplicas');
  return (
    readCount(status, 'observedGeneration') >= readCount(deployment, 'metadata', 'generation') &&
    updated >= readCount(deployment, 'spec', 'replicas') &&
    readCount(status, 'replicas') <= updated
  );
}

/**
 * A claim may grow and nothing else: what it was made with is repeated as it is, and a size that somebody has
 * raised by hand stays. An equal size is written as Kubernetes writes it, or every apply would count as a change.
 */
function keepingVolume(object: KubeObject, live: KubeObject | undefined): KubeObject {
  if (object.kind !== 'PersistentVolumeClaim' || live === undefined) return object;
  const wanted = readText(object, 'spec', 'resources', 'requests', 'storage') ?? '0';
  const present = readText(live, 'spec', 'resources', 'requests', 'storage') ?? '0';
  const storage = compareQuantities(wanted, present) > 0 ? wanted : present;
  const storageClassName = read(object, 'spec', 'storageClassName') ?? undefined;
  return {
    ...object,
    spec: {
      accessModes: readList(live, 'spec', 'accessModes'),
      resources: { requests: { storage } },
      ...(storageClassName === undefined
        ? {}
        : { storageClassName: read(live, 'spec', 'storageClassName') ?? storageClassName }),
    },
  };
}
