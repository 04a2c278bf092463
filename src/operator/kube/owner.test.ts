import { expect, test } from 'vitest';

import { controllerReference, isControlledBy, ownerKeys } from './owner.ts';
import type { KubeObject } from './types.ts';

const OWNER: KubeObject = {
  apiVersion: 'example.org/v1beta1',
  kind: 'Thing',
  metadata: { name: 'a', namespace: 'ns', uid: 'uid-a' },
};

function part(owner: KubeObject): KubeObject {
  const metadata = { name: 'part', namespace: 'ns', ownerReferences: [controllerReference(owner)] };
  return { apiVersion: 'v1', kind: 'Secret', metadata };
}

test('an object is controlled by the owner of the UID alone', () => {
  const remade = { ...OWNER, metadata: { ...OWNER.metadata, uid: 'uid-b' } };

  expect(isControlledBy(part(OWNER), OWNER)).toBe(true);
  expect(isControlledBy(part(OWNER), remade)).toBe(false);
});

test('maps an object to its owner, in whatever version of the group that was written', () => {
  expect(ownerKeys(part(OWNER), { apiVersion: 'example.org/v1', kind: 'Thing' })).toEqual(['ns/a']);
  expect(ownerKeys(part(OWNER), { apiVersion: 'example.com/v1', kind: 'Thing' })).toEqual([]);
  expect(ownerKeys(part(OWNER), { apiVersion: 'example.org/v1', kind: 'Other' })).toEqual([]);
  expect(ownerKeys(OWNER, OWNER)).toEqual([]);
});
