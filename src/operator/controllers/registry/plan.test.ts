import { array, assert, constantFrom, integer, option, property, record } from 'fast-check';
import { describe, expect, it } from 'vitest';

import { LABELS, MANAGED_BY } from '../../../api/group.ts';
import type { KubeObject } from '../../kube/types.ts';
import { check } from './checks.ts';
import type { Violation } from './checks/violation.ts';
import { desired } from './desired.ts';
import type { Facts } from './facts.ts';
import { POD_PLACEMENT } from './placement.ts';
import { type Action, plan } from './plan.ts';
import { read } from './read.ts';
import { BUCKET, CERTIFICATE, factsOf, ownedBy, registryOf, rolledOut } from './testing/samples.ts';

const OURS = { [LABELS.managedBy]: MANAGED_BY, [LABELS.registry]: 'reg' };

function planOf(
  spec: object,
  overrides: Partial<Facts> = {},
  violations: readonly Violation[] = [],
): Action[] {
  const registry = registryOf(spec);
  const facts = factsOf(overrides);
  return plan(registry, facts, desired(registry, facts, POD_PLACEMENT), violations);
}

function describeAction(action: Action): string {
  const { kind, metadata } = action.type === 'apply' ? action.object : action.live;
  return `${action.type} ${kind} ${metadata.name}`;
}

function mine(kind: string, name: string, rest: object = {}): KubeObject {
  return ownedBy(registryOf(), { apiVersion: 'v1', kind, metadata: { name, namespace: 'apps' }, ...rest });
}

function claim(size: string, metadata: object = {}, spec: object = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'reg-data', namespace: 'apps', labels: OURS, ...metadata },
    spec: {
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'standard',
      volumeName: 'pv-1',
      resources: { requests: { storage: size } },
      ...spec,
    },
  };
}

function claimAction(actions: readonly Action[]): Action | undefined {
  return actions.find((action) => action.type === 'apply' && action.object.kind === 'PersistentVolumeClaim');
}

/** What is deleted from a cluster once TLS is off. */
function deletions(live: KubeObject[]): string[] {
  return planOf({ tls: { type: 'None' } }, { live, certificate: undefined })
    .map((action) => describeAction(action))
    .filter((text) => text.startsWith('delete'));
}

describe('plan', () => {
  it('applies everything in order where nothing is', () => {
    expect(planOf({ storage: BUCKET, replicas: 2 }).map((action) => describeAction(action))).toEqual([
      'apply Service reg',
      'apply ServiceAccount reg',
      'apply Secret reg-ca',
      'apply ConfigMap reg-ca',
      'apply Secret reg-tls',
      'apply Secret reg-config',
      'apply Deployment reg',
      'apply PodDisruptionBudget reg',
    ]);
  });

  it('leaves what a violation holds as it is', () => {
    const holds = [{ kind: 'Deployment' as const, name: 'reg' }];
    const violation = { condition: 'Ready' as const, reason: 'X', message: 'x', holds };

    const actions = planOf({}, {}, [violation]).map((action) => describeAction(action));

    expect(actions).not.toContain('apply Deployment reg');
    expect(actions).toContain('apply Secret reg-config');
  });

  it.each([
    ['belongs to somebody else', { metadata: { name: 'reg', namespace: 'apps' } }],
    [
      'is on its way out',
      {
        ...mine('Service', 'reg'),
        metadata: { ...mine('Service', 'reg').metadata, deletionTimestamp: 'now' },
      },
    ],
  ])('leaves an object that %s', (_, live) => {
    const object = { apiVersion: 'v1', kind: 'Service', ...live };

    expect(planOf({}, { live: [object] }).map((action) => describeAction(action))).not.toContain(
      'apply Service reg',
    );
  });

  it('deletes the budget of a single replica', () => {
    const actions = planOf({}, { live: [mine('PodDisruptionBudget', 'reg')] });

    expect(actions.map((action) => describeAction(action))).toContain('delete PodDisruptionBudget reg');
  });

  it('deletes nothing of somebody else', () => {
    const live = [
      { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { name: 'reg', namespace: 'apps' } },
    ];

    expect(planOf({}, { live }).filter(({ type }) => type === 'delete')).toEqual([]);
  });

  it('never deletes a claim', () => {
    const actions = planOf({ storage: BUCKET }, { live: [claim('100Gi')] });

    expect(actions.map((action) => describeAction(action)).filter((text) => text.includes('Claim'))).toEqual(
      [],
    );
  });

  describe('without TLS', () => {
    const secrets = [mine('Secret', 'reg-tls'), mine('Secret', 'reg-ca'), mine('ConfigMap', 'reg-ca')];
    const pods = (volumes: object[], status: object = {}) =>
      rolledOut(
        mine('Deployment', 'reg', { spec: { replicas: 1, template: { spec: { volumes } } } }),
        1,
        status,
      );
    it('deletes certificates that no pod uses any more', () => {
      expect(deletions([...secrets, pods([])])).toEqual([
        'delete Secret reg-ca',
        'delete ConfigMap reg-ca',
        'delete Secret reg-tls',
      ]);
    });

    it('keeps the certificate and its CA while the Deployment names it', () => {
      const live = [...secrets, pods([{ name: 'tls', secret: { secretName: 'reg-tls' } }])];

      expect(deletions(live)).toEqual([]);
    });

    it('keeps certificates until the last pod of the former revision is gone', () => {
      expect(deletions([...secrets, pods([], { replicas: 2 })])).toEqual([]);
    });
  });

  describe('a claim', () => {
    it.each([
      ['grows', '200Gi', '200Gi'],
      ['stays when somebody has raised it by hand', '50Gi', '100Gi'],
      ['stays when it is the same', '100Gi', '100Gi'],
      ['stays when it is written in another way', '102400Mi', '100Gi'],
    ])('%s', (_, wanted, expected) => {
      const spec = { storage: { type: 'Filesystem', filesystem: { volumeClaim: { size: wanted } } } };

      const action = claimAction(planOf(spec, { live: [claim('100Gi')] }));

      expect(action).toMatchObject({ object: { spec: { resources: { requests: { storage: expected } } } } });
    });

    it('is repeated as it was made', () => {
      const live = claim('100Gi', {}, { accessModes: ['ReadWriteMany'], storageClassName: 'fast' });
      const volumeClaim = { size: '100Gi', storageClassName: 'standard' };

      const named = claimAction(
        planOf({ storage: { type: 'Filesystem', filesystem: { volumeClaim } } }, { live: [live] }),
      );
      const unnamed = claimAction(planOf({}, { live: [live] }));

      expect(named).toMatchObject({
        object: { spec: { accessModes: ['ReadWriteMany'], storageClassName: 'fast' } },
      });
      expect(read(unnamed, 'object', 'spec', 'storageClassName')).toBeUndefined();
    });
  });

  it('ends in the same objects whatever the spec was before', () => {
    const spec = record({
      replicas: integer({ min: 0, max: 4 }),
      tls: constantFrom(
        { type: 'SelfSigned' },
        { type: 'None' },
        { type: 'SelfSigned', dnsNames: ['a.example'] },
      ),
      logging: option(constantFrom({ level: 'Debug' }, { level: 'Error' }), { nil: undefined }),
      auth: constantFrom({ anonymous: 'Pull' }, { basic: { htpasswdSecretRefs: [{ name: 'users' }] } }),
      image: option(constantFrom('one', 'two'), { nil: undefined }),
    });
    assert(
      property(array(spec, { minLength: 1, maxLength: 5 }), (specs) => {
        const last = specs.at(-1) ?? {};

        const after = specs.reduce<KubeObject[]>((cluster, next) => settle(cluster, next), []);

        expect(after).toEqual(settle([], last));
      }),
    );
  });
});

/** Reconciles until nothing changes, in a cluster that takes every object as it is and starts pods at once. */
function settle(cluster: readonly KubeObject[], spec: object): KubeObject[] {
  let live = [...cluster];
  for (let round = 0; round < 3; round += 1) {
    const registry = registryOf({ storage: BUCKET, ...spec });
    const certificate = registry.spec.tls.type === 'None' ? undefined : CERTIFICATE;
    const facts = factsOf({ live, certificate });
    const wanted = desired(registry, facts, POD_PLACEMENT);
    for (const action of plan(registry, facts, wanted, check(registry, facts))) live = act(live, action);
    live = live.map((object) =>
      object.kind === 'Deployment' ? rolledOut(object, registry.spec.replicas) : object,
    );
  }
  return live.toSorted((a, b) => (`${a.kind}/${a.metadata.name}` < `${b.kind}/${b.metadata.name}` ? -1 : 1));
}

function act(live: readonly KubeObject[], action: Action): KubeObject[] {
  const target = action.type === 'apply' ? action.object : action.live;
  const others = live.filter(
    ({ kind, metadata }) => kind !== target.kind || metadata.name !== target.metadata.name,
  );
  return action.type === 'apply' ? [...others, action.object] : others;
}
