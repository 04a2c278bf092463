import { describe, expect, it } from 'vitest';

import { Applier } from '../../kube/apply.ts';
import { ApiError, TransportError } from '../../kube/errors.ts';
import type { EventRecorder, KubeClient, KubeObject } from '../../kube/types.ts';
import { desired } from './desired.ts';
import { POD_PLACEMENT } from './placement.ts';
import { plan } from './plan.ts';
import { carryOut } from './reconcile-apply.ts';
import { BUCKET, factsOf, registryOf } from './testing/samples.ts';

const { signal } = new AbortController();
const REGISTRY = registryOf({ storage: BUCKET });
const FACTS = factsOf();
const ACTIONS = plan(REGISTRY, FACTS, desired(REGISTRY, FACTS, POD_PLACEMENT), []);

/** An API server that takes every object but those that `refuse` throws for. */
class FakeClient implements KubeClient {
  readonly applied: string[] = [];
  readonly #refuse: (object: KubeObject) => void;

  constructor(refuse: (object: KubeObject) => void) {
    this.#refuse = refuse;
  }

  apply = async <T extends KubeObject>(_: unknown, object: KubeObject): Promise<T> => {
    this.#refuse(object);
    this.applied.push(`${object.kind} ${object.metadata.name}`);
    return object as T;
  };

  get = () => Promise.reject(new Error('not used'));
  create = () => Promise.reject(new Error('not used'));
  replace = () => Promise.reject(new Error('not used'));
  mergePatch = () => Promise.reject(new Error('not used'));
  delete = () => Promise.reject(new Error('not used'));
  serves = () => Promise.reject(new Error('not used'));
}

function run(refuse: (object: KubeObject) => void) {
  const client = new FakeClient(refuse);
  const events: EventRecorder = { event: () => undefined };
  const applier = new Applier({ client, fieldManager: 'test', annotation: 'hash' });
  const { apiVersion, kind, metadata } = REGISTRY;
  const object: KubeObject = {
    apiVersion,
    kind,
    metadata: { name: metadata.name, namespace: metadata.namespace },
  };
  const outcome = carryOut({ registry: REGISTRY, object }, ACTIONS, { client, events, applier }, signal);
  return { client, outcome };
}

function refusing(kind: string, name: string) {
  return (object: KubeObject) => {
    if (object.kind !== kind || object.metadata.name !== name) return;
    throw new ApiError({ status: 403, reason: 'Forbidden', message: 'exceeded quota' });
  };
}

describe('carryOut', () => {
  it('goes on when the API server refuses an object that nothing depends on', async () => {
    const { client, outcome } = run(refusing('Service', 'reg'));

    const { refusals, error } = await outcome;

    expect(refusals).toMatchObject([
      { condition: 'Ready', reason: 'ObjectRefused', message: 'Service "reg" was refused: exceeded quota' },
    ]);
    expect(error).toBeInstanceOf(ApiError);
    expect(client.applied).toContain('Deployment reg');
  });

  it.each([
    ['Secret', 'reg-tls', 'CertificateReady'],
    ['Secret', 'reg-config', 'ConfigApplied'],
    ['ServiceAccount', 'reg', 'Ready'],
  ])('leaves the pods alone when %s %s is refused', async (kind, name, condition) => {
    const { client, outcome } = run(refusing(kind, name));

    expect((await outcome).refusals).toMatchObject([{ condition }]);
    expect(client.applied).not.toContain('Deployment reg');
  });

  it('ends at once when there is no answer', async () => {
    const { client, outcome } = run((object) => {
      if (object.kind === 'ServiceAccount') throw new TransportError('connection lost');
    });

    await expect(outcome).rejects.toThrow('connection lost');
    expect(client.applied).toEqual(['Service reg']);
  });
});
