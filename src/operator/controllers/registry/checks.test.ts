import { randomBytes } from 'node:crypto';

import { beforeAll, describe, expect, it } from 'vitest';

import type { Registry } from '../../../api/v1alpha1/registry.ts';
import type { KubeObject } from '../../kube/types.ts';
import { createAuthority } from '../../pki/authority.ts';
import { check } from './checks.ts';
import type { Facts } from './facts.ts';
import { BUCKET, CERTIFICATE, factsOf, NOW, ownedBy, registryOf } from './testing/samples.ts';

const WORKLOAD = ['Secret reg-config', 'Deployment reg'];

const S3 = { ...BUCKET.s3, credentialsSecretRef: { name: 's3' } };
const BASIC = { auth: { basic: { htpasswdSecretRefs: [{ name: 'users' }] } } };
const OWN_TLS = { tls: { type: 'Secret', secretRef: { name: 'own' } } };
const EXISTING = { storage: { type: 'Filesystem', filesystem: { existingClaim: { name: 'shared' } } } };
const OWN_PAIR = { 'tls.crt': Buffer.from('LEAF'), 'tls.key': Buffer.from('KEY') };

function bucketWith(caBundleRef: object): object {
  return { storage: { type: 'S3', s3: { ...BUCKET.s3, caBundleRef } } };
}

function claim(name: string, accessMode: string, phase = 'Bound'): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name, namespace: 'apps' },
    spec: { accessModes: [accessMode] },
    status: { phase },
  };
}

function foreign(kind: string, name: string, metadata: object = {}): KubeObject {
  return { apiVersion: 'v1', kind, metadata: { name, namespace: 'apps', ...metadata } };
}

function certificateInfo(info: object): Partial<Facts> {
  const certificate = { ...CERTIFICATE, info: { ...CERTIFICATE.info!, ...info } };
  return { certificate, secrets: { own: OWN_PAIR } };
}

/** Condition, reason and message of a violation. */
type Expected = [string, string, string];

describe('check', () => {
  it.each<[string, object, Partial<Facts>]>([
    ['a volume', {}, {}],
    ['a bucket without credentials', { storage: BUCKET }, {}],
    ['a bucket with credentials', { storage: { type: 'S3', s3: S3 } }, {}],
    ['users', BASIC, {}],
    ['a certificate of its own', OWN_TLS, certificateInfo({})],
    ['an existing claim', EXISTING, { existingClaim: claim('shared', 'ReadWriteOnce') }],
    ['a shared claim', { ...EXISTING, replicas: 2 }, { existingClaim: claim('shared', 'ReadWriteMany') }],
    ['a foreign object whose name is not needed', {}, { live: [foreign('PodDisruptionBudget', 'reg')] }],
    [
      'a ServiceMonitor where the kind is',
      { monitoring: { serviceMonitor: { mode: 'Enabled' } } },
      { serves: { serviceMonitor: true } },
    ],
    ['no ServiceMonitor where the kind is not', { monitoring: { serviceMonitor: { mode: 'Auto' } } }, {}],
  ])('finds nothing wrong with %s', (_, spec, facts) => {
    expect(check(registryOf(spec), factsOf(facts))).toEqual([]);
  });

  const USERS = 'spec.auth.basic.htpasswdSecretRefs[0]';
  it.each<[string, object, Partial<Facts>, ...Expected]>([
    [
      'missing users',
      BASIC,
      { secrets: {} },
      'ConfigApplied',
      'SecretNotFound',
      `${USERS}: Secret "users" not found`,
    ],
    [
      'a missing key',
      BASIC,
      { secrets: { users: { other: Buffer.from('x') } } },
      'ConfigApplied',
      'SecretKeyNotFound',
      `${USERS}: key "htpasswd" is missing or empty in Secret "users"`,
    ],
    [
      'an unreadable htpasswd',
      BASIC,
      { secrets: { users: { htpasswd: Buffer.from('alice:topsecret\n# bob:$2b$') } } },
      'ConfigApplied',
      'InvalidHtpasswd',
      `${USERS}: key "htpasswd" of Secret "users" has no line with a user and a bcrypt hash; make one with htpasswd -nbB`,
    ],
    [
      'missing credentials',
      { storage: { type: 'S3', s3: S3 } },
      { secrets: {} },
      'StorageReady',
      'SecretNotFound',
      'spec.storage.s3.credentialsSecretRef: Secret "s3" not found',
    ],
    [
      'half the credentials',
      { storage: { type: 'S3', s3: S3 } },
      {
        secrets: {
          s3: { AWS_ACCESS_KEY_ID: Buffer.from('topsecret'), AWS_SECRET_ACCESS_KEY: Buffer.from('') },
        },
      },
      'StorageReady',
      'SecretKeyNotFound',
      'spec.storage.s3.credentialsSecretRef: key "AWS_SECRET_ACCESS_KEY" is missing or empty in Secret "s3"',
    ],
    [
      'a missing CA bundle',
      bucketWith({ name: 'gone' }),
      {},
      'StorageReady',
      'ConfigMapNotFound',
      'spec.storage.s3.caBundleRef: ConfigMap "gone" not found',
    ],
    [
      'a CA bundle in a Secret without the key',
      bucketWith({ kind: 'Secret', name: 'users' }),
      {},
      'StorageReady',
      'SecretKeyNotFound',
      'spec.storage.s3.caBundleRef: key "ca.crt" is missing or empty in Secret "users"',
    ],
    [
      'a CA bundle that is none',
      bucketWith({ name: 'ca' }),
      {},
      'StorageReady',
      'InvalidCABundle',
      'spec.storage.s3.caBundleRef: key "ca.crt" of ConfigMap "ca" is not a PEM bundle of certificates',
    ],
    [
      'a missing claim',
      EXISTING,
      {},
      'StorageReady',
      'ClaimNotFound',
      'spec.storage.filesystem.existingClaim.name: PersistentVolumeClaim "shared" not found',
    ],
    [
      'a lost claim',
      EXISTING,
      { existingClaim: claim('shared', 'ReadWriteOnce', 'Lost') },
      'StorageReady',
      'ClaimLost',
      'spec.storage.filesystem.existingClaim.name: the volume of "shared" is lost',
    ],
    [
      'a claim that two pods cannot share',
      { ...EXISTING, replicas: 2 },
      { existingClaim: claim('shared', 'ReadWriteOnce') },
      'StorageReady',
      'ClaimNotShared',
      'spec.storage.filesystem.existingClaim.name: PersistentVolumeClaim "shared" is not ReadWriteMany, which spec.replicas above 1 needs',
    ],
    [
      'a missing certificate',
      OWN_TLS,
      { certificate: undefined },
      'CertificateReady',
      'SecretNotFound',
      'spec.tls.secretRef: Secret "own" not found',
    ],
    [
      'a certificate without key',
      OWN_TLS,
      { secrets: { own: { 'tls.crt': Buffer.from('LEAF') } } },
      'CertificateReady',
      'SecretKeyNotFound',
      'spec.tls.secretRef: key "tls.key" is missing or empty in Secret "own"',
    ],
    [
      'an unreadable certificate',
      OWN_TLS,
      { ...certificateInfo({}), certificate: { certificate: 'x', key: 'y' } },
      'CertificateReady',
      'InvalidCertificate',
      'spec.tls.secretRef: Secret "own": tls.crt is not a PEM certificate',
    ],
    [
      'a key of another certificate',
      OWN_TLS,
      certificateInfo({ keyMatches: false }),
      'CertificateReady',
      'KeyMismatch',
      'spec.tls.secretRef: Secret "own": tls.key is not the private key of tls.crt',
    ],
    [
      'a certificate that ends now',
      OWN_TLS,
      certificateInfo({ notAfter: NOW }),
      'CertificateReady',
      'CertificateExpired',
      'spec.tls.secretRef: Secret "own": the certificate ended at 2026-01-01T00:00:00.000Z',
    ],
  ])('holds the pods for %s', (_, spec, facts, ...[condition, reason, message]) => {
    const violations = check(registryOf(spec), factsOf(facts));

    expect(violations).toMatchObject([{ condition, reason, message }]);
    expect(violations[0]?.holds.map(({ kind, name }) => `${kind} ${name}`)).toEqual(WORKLOAD);
    expect(JSON.stringify(violations)).not.toContain('topsecret');
  });

  it('takes a CA bundle of one or more certificates', async () => {
    const { certificate } = await createAuthority('CA', { now: NOW, randomBytes });
    const configMaps = { ca: { 'ca.crt': Buffer.from(`# comment\n${certificate}${certificate}`) } };

    expect(check(registryOf(bucketWith({ name: 'ca' })), factsOf({ configMaps }))).toEqual([]);
  });

  it.each([
    ['Service', 'reg', 'Ready', ['Service reg', ...WORKLOAD]],
    ['ServiceAccount', 'reg', 'Ready', ['ServiceAccount reg', ...WORKLOAD]],
    ['Deployment', 'reg', 'Ready', ['Deployment reg', ...WORKLOAD]],
    ['Secret', 'reg-config', 'ConfigApplied', ['Secret reg-config', ...WORKLOAD]],
    ['Secret', 'reg-tls', 'CertificateReady', ['Secret reg-tls', ...WORKLOAD]],
    ['Secret', 'reg-ca', 'CertificateReady', ['Secret reg-ca', ...WORKLOAD]],
    ['ConfigMap', 'reg-ca', 'CertificateReady', ['ConfigMap reg-ca']],
    ['PersistentVolumeClaim', 'reg-data', 'StorageReady', ['PersistentVolumeClaim reg-data', ...WORKLOAD]],
    ['PodDisruptionBudget', 'reg', 'Ready', ['PodDisruptionBudget reg']],
  ])('never takes over a foreign %s %s', (kind, name, condition, holds) => {
    const shared = { volumeClaim: { size: 1, accessMode: 'ReadWriteMany' } };
    const registry = registryOf({ replicas: 2, storage: { type: 'Filesystem', filesystem: shared } });

    const violations = check(registry, factsOf({ live: [foreign(kind, name)] }));

    expect(violations).toMatchObject([{ condition, reason: 'ObjectConflict' }]);
    expect(violations[0]?.message).toContain(`${kind} "${name}" exists and does not belong to this Registry`);
    expect(violations[0]?.holds.map((held) => `${held.kind} ${held.name}`)).toEqual(holds);
  });

  describe('ownership', () => {
    let registry: Registry;
    beforeAll(() => {
      registry = registryOf();
    });

    it('knows its own objects by their controller', () => {
      expect(check(registry, factsOf({ live: [ownedBy(registry, foreign('Service', 'reg'))] }))).toEqual([]);
    });

    it('is not fooled by labels', () => {
      const labels = {
        'app.kubernetes.io/managed-by': 'registry-operator',
        'registry-operator.dev/registry': 'reg',
      };

      expect(check(registry, factsOf({ live: [foreign('Service', 'reg', { labels })] }))).toHaveLength(1);
    });

    it('waits for the objects of an earlier Registry of the same name', () => {
      const old = ownedBy(registryOf({}, { uid: 'before' }), foreign('Service', 'reg'));

      expect(check(registry, factsOf({ live: [old] }))).toMatchObject([{ reason: 'ObjectTerminating' }]);
    });

    it('adopts the claim of an earlier Registry of the same name by its labels', () => {
      const labels = {
        'app.kubernetes.io/managed-by': 'registry-operator',
        'registry-operator.dev/registry': 'reg',
      };
      const live = [foreign('PersistentVolumeClaim', 'reg-data', { labels })];

      expect(check(registry, factsOf({ live }))).toEqual([]);
    });
  });

  it.each([
    ['ClaimTerminating', { deletionTimestamp: NOW.toISOString() }, 'Bound'],
    ['ClaimLost', {}, 'Lost'],
  ])('tells of its own claim as %s without stopping anything', (reason, metadata, phase) => {
    const labels = {
      'app.kubernetes.io/managed-by': 'registry-operator',
      'registry-operator.dev/registry': 'reg',
    };
    const base = claim('reg-data', 'ReadWriteOnce', phase);
    const live = [{ ...base, metadata: { ...base.metadata, labels, ...metadata } }];

    expect(check(registryOf(), factsOf({ live }))).toMatchObject([
      { condition: 'StorageReady', reason, holds: [] },
    ]);
  });

  it('holds the pods when the claim of an earlier Registry cannot be shared', () => {
    const volumeClaim = { size: '1Gi', accessMode: 'ReadWriteMany' };
    const registry = registryOf({
      replicas: 2,
      storage: { type: 'Filesystem', filesystem: { volumeClaim } },
    });
    const labels = {
      'app.kubernetes.io/managed-by': 'registry-operator',
      'registry-operator.dev/registry': 'reg',
    };
    const base = claim('reg-data', 'ReadWriteOnce');
    const live = [{ ...base, metadata: { ...base.metadata, labels } }];

    const violations = check(registry, factsOf({ live }));

    expect(violations).toMatchObject([{ condition: 'StorageReady', reason: 'ClaimNotShared' }]);
    expect(violations[0]?.holds.map(({ kind, name }) => `${kind} ${name}`)).toEqual(WORKLOAD);
  });

  it('reports a ServiceMonitor that must be but cannot, and stops nothing', () => {
    const registry = registryOf({ monitoring: { serviceMonitor: { mode: 'Enabled' } } });

    expect(check(registry, factsOf())).toMatchObject([{ reason: 'ServiceMonitorUnavailable', holds: [] }]);
  });

  it('tells every violation, the gravest first', () => {
    const registry = registryOf({ ...BASIC, ...EXISTING });

    const reasons = check(registry, factsOf({ secrets: {}, live: [foreign('Service', 'reg')] })).map(
      ({ reason }) => reason,
    );

    expect(reasons).toEqual(['ObjectConflict', 'ClaimNotFound', 'SecretNotFound']);
  });
});
