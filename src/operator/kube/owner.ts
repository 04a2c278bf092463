import type { V1OwnerReference } from '@kubernetes/client-node';

import type { KubeObject } from './types.ts';

/** The reference that makes an object part of its owner: deleted with it, and controlled by nobody else. */
export function controllerReference(owner: KubeObject): V1OwnerReference {
  return {
    apiVersion: owner.apiVersion,
    kind: owner.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** The owner that controls an object; at most one does. */
export function controllerOf(object: KubeObject): V1OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller === true);
}

/** By UID: an owner that was deleted and made again under its name does not control the objects of the first. */
export function isControlledBy(object: KubeObject, owner: KubeObject): boolean {
  const uid = controllerOf(object)?.uid;
  return uid !== undefined && uid === owner.metadata.uid;
}

/** Queue key of the owner of that kind that controls an object: none or one. */
export function ownerKeys(object: KubeObject, owner: { apiVersion: string; kind: string }): string[] {
  const reference = controllerOf(object);
  if (reference?.kind !== owner.kind) return [];
  // Any version of the group: an owner reference keeps the version with which it was written.
  if (groupOf(reference.apiVersion) !== groupOf(owner.apiVersion)) return [];
  const { namespace } = object.metadata;
  return [namespace === undefined ? reference.name : `${namespace}/${reference.name}`];
}

function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/');
  return slash < 0 ? '' : apiVersion.slice(0, slash);
}
