import { describe, expect, it } from 'vitest';

import { Condition, RegistryStatus } from '../../../api/v1alpha1/registry.ts';
import type { KubeObject } from '../../kube/types.ts';
import { check } from './checks.ts';
import type { ConditionState } from './conditions.ts';
import type { Facts, PodFacts } from './facts.ts';
import { statusOf } from './status.ts';
import { BUCKET, CERTIFICATE, factsOf, ownedBy, registryOf, rolledOut } from './testing/samples.ts';

const HASH = 'a'.repeat(64);

function deploymentOf(replicas: number, status: object = {}): KubeObject {
  const object = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'reg', namespace: 'apps' },
    spec: { replicas },
  };
  return rolledOut(ownedBy(registryOf(), object), replicas, status);
}

function boundClaim(): KubeObject {
  const labels = {
    'app.kubernetes.io/managed-by': 'registry-operator',
    'registry-operator.dev/registry': 'reg',
  };
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'reg-data', namespace: 'apps', labels },
    status: { phase: 'Bound', capacity: { storage: '100Gi' } },
  };
}

function podOf(overrides: Partial<PodFacts> = {}): PodFacts {
  return { name: 'reg-1', loadedHash: HASH, version: '1.2.3', ...overrides };
}

function live(replicas: number, status: object): Partial<Facts> {
  return { live: [deploymentOf(replicas, status), boundClaim()] };
}

function progress(reason: string, status = 'True'): object[] {
  return [{ type: 'Progressing', status, reason, message: 'm' }];
}

function rollout(conditions: object[]): Partial<Facts> {
  return live(1, { conditions });
}

interface Given {
  spec?: object;
  facts?: Partial<Facts>;
  /** `status` of the Registry before. */
  before?: object;
  wantedHash?: string | undefined;
}

function statusFor({ spec = {}, facts: overrides = {}, before, wantedHash = HASH }: Given) {
  const registry = { ...registryOf(spec), ...(before ? { status: before } : {}) };
  const facts = factsOf({ live: [deploymentOf(1), boundClaim()], pods: [podOf()], ...overrides });
  return statusOf({ registry, facts, violations: check(registry, facts), wantedHash });
}

function condition(given: Given, type: string): ConditionState | undefined {
  return statusFor(given).conditions.find((candidate) => candidate.type === type);
}

describe('status', () => {
  it('tells everything of a registry that runs', () => {
    expect(statusFor({})).toEqual({
      observedGeneration: 1,
      replicas: 1,
      readyReplicas: 1,
      updatedReplicas: 1,
      selector: 'app.kubernetes.io/name=registry,registry-operator.dev/registry=reg',
      version: '1.2.3',
      endpoint: 'reg.apps.svc:5000',
      endpoints: [{ name: 'ClusterIP', url: 'https://reg.apps.svc:5000' }],
      caConfigMapName: 'reg-ca',
      certificate: {
        secretName: 'reg-tls',
        notAfter: '2026-04-01T00:00:00Z',
        renewalTime: '2026-03-02T00:00:00Z',
        sha256Fingerprint: 'f'.repeat(64),
      },
      storage: { claimName: 'reg-data', capacity: '100Gi' },
      config: { hash: HASH, loadedReplicas: 1 },
      conditions: [
        { type: 'Ready', status: 'True', reason: 'Available', message: '1 of 1 pods are available' },
        {
          type: 'Progressing',
          status: 'False',
          reason: 'Complete',
          message: 'all pods are of the newest revision',
        },
        {
          type: 'StorageReady',
          status: 'True',
          reason: 'ClaimBound',
          message: 'PersistentVolumeClaim "reg-data" is bound',
        },
        {
          type: 'CertificateReady',
          status: 'True',
          reason: 'Issued',
          message: 'valid until 2026-04-01T00:00:00.000Z',
        },
        {
          type: 'ConfigApplied',
          status: 'True',
          reason: 'Loaded',
          message: '1 of 1 pods have loaded the configuration',
        },
      ],
    });
  });

  it('fits the schema of the resource', () => {
    const { conditions, ...rest } = statusFor({});
    const lastTransitionTime = '2026-01-01T00:00:00Z';

    expect(() => RegistryStatus.parse(rest)).not.toThrow();
    expect(conditions.map((entry) => Condition.parse({ ...entry, lastTransitionTime }).type)).toHaveLength(5);
  });

  it('tells of plain HTTP on a bucket', () => {
    const status = statusFor({
      spec: { tls: { type: 'None' }, storage: BUCKET },
      facts: { certificate: undefined },
    });

    expect(status.endpoints).toEqual([{ name: 'ClusterIP', url: 'http://reg.apps.svc:5000' }]);
    expect(status).not.toHaveProperty('certificate');
    expect(status).not.toHaveProperty('caConfigMapName');
    expect(status).not.toHaveProperty('storage');
  });

  it("names the user's certificate and has no plan to renew it", () => {
    const { renewalTime: _, authority: __, caCertificate: ___, ...certificate } = CERTIFICATE;
    const status = statusFor({
      spec: { tls: { type: 'Secret', secretRef: { name: 'own' } } },
      facts: { certificate, secrets: { own: { 'tls.crt': Buffer.from('x'), 'tls.key': Buffer.from('y') } } },
    });

    expect(status.certificate).toEqual({
      secretName: 'own',
      notAfter: '2026-04-01T00:00:00Z',
      sha256Fingerprint: 'f'.repeat(64),
    });
    expect(status).not.toHaveProperty('caConfigMapName');
  });

  it('names the CA that pods serve as long as the wanted certificate cannot be used', () => {
    const deployment = deploymentOf(1);
    const template = { spec: { volumes: [{ name: 'tls', secret: { secretName: 'reg-tls' } }] } };
    const serving = { ...deployment, spec: { replicas: 1, template } };
    const published = ownedBy(registryOf(), {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'reg-ca', namespace: 'apps' },
    });
    const spec = { tls: { type: 'Secret', secretRef: { name: 'bad' } } };
    const facts = { certificate: undefined, secrets: { bad: undefined } };

    expect(statusFor({ spec, facts: { ...facts, live: [serving, published] } }).caConfigMapName).toBe(
      'reg-ca',
    );
    expect(statusFor({ spec, facts: { ...facts, live: [serving] } })).not.toHaveProperty('caConfigMapName');
  });

  it('names the existing claim', () => {
    const spec = { storage: { type: 'Filesystem', filesystem: { existingClaim: { name: 'old' } } } };
    const existingClaim = { ...boundClaim(), metadata: { name: 'old' } };

    expect(statusFor({ spec, facts: { existingClaim } }).storage).toEqual({
      claimName: 'old',
      capacity: '100Gi',
    });
  });

  it('is whole before anything exists', () => {
    const status = statusFor({
      facts: { live: [], pods: [], service: undefined, certificate: undefined },
      wantedHash: undefined,
    });

    expect(status).toMatchObject({ replicas: 0, readyReplicas: 0, endpoint: 'reg.apps.svc:5000' });
    expect(status.conditions.map(({ type, status: value, reason }) => `${type}=${value} ${reason}`)).toEqual([
      'Ready=False WaitingForCertificate',
      'Progressing=True WaitingForCertificate',
      'StorageReady=False ClaimPending',
      'CertificateReady=False WaitingForService',
      'ConfigApplied=False WaitingForPods',
    ]);
  });
});

describe('Ready', () => {
  const shared = { storage: BUCKET };
  const wasReady = {
    conditions: [
      {
        type: 'Ready',
        status: 'True',
        observedGeneration: 1,
        reason: 'Available',
        message: '',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      },
    ],
  };

  it.each<[string, Given, string, string]>([
    ['stopped', { spec: { replicas: 0 }, facts: live(0, {}) }, 'False', 'Stopped'],
    ['paused and serving', { spec: { paused: true } }, 'True', 'Paused'],
    [
      'paused and down',
      { spec: { paused: true }, facts: live(1, { availableReplicas: 0 }) },
      'False',
      'Paused',
    ],
    [
      'a change that Kubernetes has not seen',
      { facts: live(1, { observedGeneration: 0 }) },
      'False',
      'WaitingForPods',
    ],
    ['an old pod that still runs', { facts: live(1, { replicas: 2 }) }, 'False', 'WaitingForPods'],
    ['a pod that does not serve', { facts: live(1, { availableReplicas: 0 }) }, 'False', 'WaitingForPods'],
    [
      'a pod missing after a change',
      { spec: { ...shared, replicas: 2 }, facts: live(2, { availableReplicas: 1 }) },
      'False',
      'WaitingForPods',
    ],
    [
      'a pod missing later',
      { spec: { ...shared, replicas: 2 }, facts: live(2, { availableReplicas: 1 }), before: wasReady },
      'True',
      'Available',
    ],
    [
      'all pods missing later',
      { spec: { ...shared, replicas: 2 }, facts: live(2, { availableReplicas: 0 }), before: wasReady },
      'False',
      'WaitingForPods',
    ],
    [
      'a violated check',
      { spec: { auth: { basic: { htpasswdSecretRefs: [{ name: 'gone' }] } } } },
      'False',
      'SecretNotFound',
    ],
    [
      'a rollout that Kubernetes has given up',
      { facts: live(1, { conditions: [{ type: 'Progressing', status: 'False', message: 'timed out' }] }) },
      'False',
      'RolloutStuck',
    ],
  ])('for %s', (_, given, status, reason) => {
    expect(condition(given, 'Ready')).toMatchObject({ status, reason });
  });

  it('says what is wrong with the pods', () => {
    const given = {
      facts: {
        ...live(1, { availableReplicas: 0 }),
        pods: [podOf({ problem: 'ImagePullBackOff: no such image' })],
      },
    };

    expect(condition(given, 'Ready')?.message).toBe(
      '0 of 1 pods are available; pod reg-1: ImagePullBackOff: no such image',
    );
  });
});

describe('other conditions', () => {
  it.each<[string, Given, string]>([
    ['Progressing', { facts: rollout(progress('ReplicaSetUpdated')) }, 'True RollingOut'],
    ['Progressing', { facts: rollout([]) }, 'True RollingOut'],
    ['Progressing', { facts: rollout(progress('ProgressDeadlineExceeded', 'False')) }, 'False RolloutStuck'],
    ['Progressing', { spec: { paused: true } }, 'False Paused'],
    [
      'Progressing',
      { spec: { auth: { basic: { htpasswdSecretRefs: [{ name: 'gone' }] } } } },
      'False Blocked',
    ],
    ['StorageReady', { spec: { storage: BUCKET } }, 'True Configured'],
    ['StorageReady', { spec: { storage: { type: 'Ephemeral' } } }, 'True Ephemeral'],
    ['StorageReady', { facts: { live: [] } }, 'False ClaimPending'],
    ['CertificateReady', { spec: { tls: { type: 'None' } } }, 'True NotUsed'],
    ['CertificateReady', { facts: { certificate: undefined } }, 'False WaitingForService'],
    ['ConfigApplied', { facts: { pods: [podOf(), podOf({ loadedHash: 'other' })] } }, 'False Loading'],
    ['ConfigApplied', { facts: { pods: [podOf({ loadedHash: undefined })] } }, 'False Loading'],
    ['ConfigApplied', { facts: { pods: [] } }, 'False WaitingForPods'],
    ['ConfigApplied', { spec: { replicas: 0 }, facts: { pods: [] } }, 'True Stopped'],
    [
      'ConfigApplied',
      { spec: { auth: { basic: { htpasswdSecretRefs: [{ name: 'gone' }] } } } },
      'False SecretNotFound',
    ],
  ])('%s for %j', (type, given, expected) => {
    const found = condition(given, type);

    expect(`${found?.status} ${found?.reason}`).toBe(expected);
  });
});
