import { X509Certificate } from 'node:crypto';

import { CREDENTIAL_FILES } from '../../../../api/loaded-hash.ts';
import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { Facts } from '../facts.ts';
import { readText } from '../read.ts';
import { accessModes } from '../resources/deployment.ts';
import { isOurs } from '../resources/ownership.ts';
import { persistentVolumeClaim } from '../resources/pvc.ts';
import { liveObject } from './ownership.ts';
import { problem, type Reference, resolve } from './references.ts';
import { type Violation, workload } from './violation.ts';

const S3 = 'spec.storage.s3';
const EXISTING_CLAIM = 'spec.storage.filesystem.existingClaim';

/** The keys that a credentials Secret must have; the session token is optional. */
const REQUIRED_CREDENTIALS = CREDENTIAL_FILES.filter((key) => key !== 'AWS_SESSION_TOKEN');

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The volume or the bucket's credentials are there and usable. */
export function checkStorage(registry: Registry, facts: Facts): Violation[] {
  return [
    ...checkExistingClaim(registry, facts),
    ...checkOwnClaim(registry, facts),
    ...checkCredentials(registry, facts),
    ...checkCaBundle(registry, facts),
  ];
}

function checkExistingClaim(registry: Registry, facts: Facts): Violation[] {
  const reference = registry.spec.storage.filesystem?.existingClaim;
  if (reference === undefined) return [];
  const { existingClaim } = facts;
  if (existingClaim === undefined) {
    return [claimProblem(registry, 'ClaimNotFound', `PersistentVolumeClaim "${reference.name}" not found`)];
  }
  if (readText(existingClaim, 'status', 'phase') === 'Lost') {
    return [claimProblem(registry, 'ClaimLost', `the volume of "${reference.name}" is lost`)];
  }
  if (registry.spec.replicas <= 1 || accessModes(existingClaim).includes('ReadWriteMany')) return [];
  const message = `PersistentVolumeClaim "${reference.name}" is not ReadWriteMany, which spec.replicas above 1 needs`;
  return [claimProblem(registry, 'ClaimNotShared', message)];
}

function claimProblem(registry: Registry, reason: string, message: string): Violation {
  const holds = workload(registry);
  return { condition: 'StorageReady', reason, message: `${EXISTING_CLAIM}.name: ${message}`, holds };
}

/** What happens to the operator's own claim is told; only one that cannot be shared holds the pods. */
function checkOwnClaim(registry: Registry, facts: Facts): Violation[] {
  const wanted = persistentVolumeClaim(registry);
  if (wanted === undefined) return [];
  const { name } = wanted.metadata;
  const claim = liveObject(facts, { kind: 'PersistentVolumeClaim', name });
  if (claim === undefined || !isOurs(registry, claim)) return [];
  const path = 'spec.storage.filesystem.volumeClaim';
  if (claim.metadata.deletionTimestamp !== undefined) {
    const message = `${path}: PersistentVolumeClaim "${name}" is being deleted; it ends when no pod uses it any more`;
    return [{ condition: 'StorageReady', reason: 'ClaimTerminating', message, holds: [] }];
  }
  if (readText(claim, 'status', 'phase') === 'Lost') {
    const message = `${path}: the volume of PersistentVolumeClaim "${name}" is lost`;
    return [{ condition: 'StorageReady', reason: 'ClaimLost', message, holds: [] }];
  }
  if (registry.spec.replicas > 1 && !accessModes(claim).includes('ReadWriteMany')) {
    const message = `${path}.accessMode: PersistentVolumeClaim "${name}" of an earlier Registry is not ReadWriteMany, which spec.replicas above 1 needs`;
    return [{ condition: 'StorageReady', reason: 'ClaimNotShared', message, holds: workload(registry) }];
  }
  return [];
}

function checkCredentials(registry: Registry, facts: Facts): Violation[] {
  const secret = registry.spec.storage.s3?.credentialsSecretRef;
  if (secret === undefined) return [];
  const reference: Reference = {
    path: `${S3}.credentialsSecretRef`,
    kind: 'Secret',
    name: secret.name,
    condition: 'StorageReady',
  };
  const found = resolve(registry, facts, reference, REQUIRED_CREDENTIALS);
  return 'violations' in found ? found.violations : [];
}

function checkCaBundle(registry: Registry, facts: Facts): Violation[] {
  const bundle = registry.spec.storage.s3?.caBundleRef;
  if (bundle === undefined) return [];
  const { kind, name, key } = bundle;
  const reference: Reference = { path: `${S3}.caBundleRef`, kind, name, condition: 'StorageReady' };
  const found = resolve(registry, facts, reference, [key]);
  if ('violations' in found) return found.violations;
  if (isCertificateBundle(found.data[key])) return [];
  const message = `key "${key}" of ${kind} "${name}" is not a PEM bundle of certificates`;
  return [problem(registry, reference, 'InvalidCABundle', message)];
}

function isCertificateBundle(bytes: Uint8Array | undefined): boolean {
  const blocks =
    Buffer.from(bytes ?? [])
      .toString('latin1')
      .match(CERTIFICATE) ?? [];
  try {
    return blocks.map((block) => new X509Certificate(block)).length > 0;
  } catch {
    return false;
  }
}
