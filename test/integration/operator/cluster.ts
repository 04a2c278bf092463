import { setTimeout as delay } from 'node:timers/promises';

import { read, readList, readText } from '../../../src/operator/controllers/registry/read.ts';
import type { ApiClient } from '../../../src/operator/kube/client.ts';
import { KINDS } from '../../../src/operator/kube/kinds.ts';
import type { KubeObject, ResourceKind } from '../../../src/operator/kube/types.ts';
import { type ApiServer, startApiServer } from '../../servers/api-server.ts';
import {
  adminClient,
  installCrds,
  type Operator,
  type OperatorOptions,
  REGISTRY,
  startOperator,
  until,
} from './harness.ts';

/** Kinds that a Registry consists of. */
export const OWNED: readonly ResourceKind[] = [
  KINDS.service,
  KINDS.serviceAccount,
  KINDS.persistentVolumeClaim,
  KINDS.secret,
  KINDS.configMap,
  KINDS.deployment,
  KINDS.podDisruptionBudget,
];

/** Names of the objects of the Registry `reg`. */
const NAMES = ['reg', 'reg-config', 'reg-tls', 'reg-ca', 'reg-data'];

const VOLUME = { type: 'Filesystem', filesystem: { volumeClaim: { size: '1Gi' } } };
export const SHARED = {
  type: 'Filesystem',
  filesystem: { volumeClaim: { size: '1Gi', accessMode: 'ReadWriteMany' } },
};

/** A Registry named `reg`, open and on a volume unless the spec says otherwise. */
export function registryOf(namespace: string, spec: object = {}): KubeObject {
  const { apiVersion, kind } = REGISTRY;
  const defaults = { storage: VOLUME, auth: { anonymous: 'PullPush' } };
  return { apiVersion, kind, metadata: { name: 'reg', namespace }, spec: { ...defaults, ...spec } };
}

/** `data` of a Secret. */
export function encode(data: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  );
}

export function secretOf(namespace: string, name: string, data: Record<string, string>): KubeObject {
  const type = 'tls.key' in data ? 'kubernetes.io/tls' : 'Opaque';
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, type, data: encode(data) };
}

export function claimOf(
  namespace: string,
  name: string,
  accessMode: string,
  labels: Record<string, string> = {},
): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name, namespace, labels },
    spec: { accessModes: [accessMode], resources: { requests: { storage: '1Gi' } } },
  };
}

/** A real API server, what users do with it, and the operators that a test has started. */
export class Cluster {
  readonly admin: ApiClient;
  readonly #server: ApiServer;
  readonly #closeAdmin: () => void;
  #operators: Operator[] = [];
  #namespaces = 0;

  private constructor(server: ApiServer) {
    this.#server = server;
    ({ client: this.admin, close: this.#closeAdmin } = adminClient(server));
  }

  static async start(): Promise<Cluster> {
    const cluster = new Cluster(await startApiServer());
    try {
      await installCrds(cluster.admin);
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.stopOperators();
    this.#closeAdmin();
    await this.#server.stop();
  }

  async stopOperators(): Promise<void> {
    await Promise.all(this.#operators.map((operator) => operator.stop()));
    this.#operators = [];
  }

  /** Starts an operator that looks after one namespace. */
  async operate(namespace: string, options: Partial<OperatorOptions> = {}): Promise<Operator> {
    const operator = await startOperator(this.#server, { namespace, ...options });
    this.#operators.push(operator);
    return operator;
  }

  async newNamespace(): Promise<string> {
    this.#namespaces += 1;
    const name = `case-${this.#namespaces}`;
    await this.admin.create(KINDS.namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    return name;
  }

  find(kind: ResourceKind, namespace: string, name = 'reg'): Promise<KubeObject | undefined> {
    return this.admin.get(kind, { namespace, name });
  }

  async get(kind: ResourceKind, namespace: string, name = 'reg'): Promise<KubeObject> {
    const object = await this.find(kind, namespace, name);
    if (object === undefined) throw new Error(`${kind.kind} ${name} is missing`);
    return object;
  }

  /** Merges into the spec of the Registry. */
  patch(namespace: string, spec: object): Promise<KubeObject> {
    return this.admin.mergePatch(REGISTRY, { namespace, name: 'reg' }, { spec });
  }

  async deleteRegistry(namespace: string): Promise<void> {
    await this.admin.delete(REGISTRY, { namespace, name: 'reg' });
    await until(async () => (await this.find(REGISTRY, namespace)) === undefined, 'the Registry to go');
  }

  async condition(namespace: string, type: string): Promise<unknown> {
    const conditions = readList(await this.find(REGISTRY, namespace), 'status', 'conditions');
    return conditions.find((entry) => readText(entry, 'type') === type);
  }

  async untilCondition(namespace: string, type: string, reason: string): Promise<void> {
    const holds = async () => readText(await this.condition(namespace, type), 'reason') === reason;
    await until(holds, `${type} to be ${reason} in ${namespace}`);
  }

  /** Waits until nothing has been reconciled for a while and the status speaks of the newest spec. */
  async untilSettled(operator: Operator, namespace: string): Promise<void> {
    await until(async () => {
      const object = await this.get(REGISTRY, namespace);
      if (read(object, 'status', 'observedGeneration') !== object.metadata.generation) return false;
      const done = (): string => `${operator.writes.length} ${[...operator.reconciles].join(' ')}`;
      const before = done();
      await delay(600);
      return !operator.isBusy() && done() === before;
    }, `the operator to settle in ${namespace}`);
  }

  /** Does what kubelet and deployment controller do once all pods serve. */
  async bringUpPods(namespace: string): Promise<void> {
    const { metadata, ...deployment } = await this.get(KINDS.deployment, namespace);
    const replicas = Number(read(deployment, 'spec', 'replicas'));
    const counts = {
      replicas,
      updatedReplicas: replicas,
      readyReplicas: replicas,
      availableReplicas: replicas,
    };
    const now = new Date().toISOString();
    const times = { lastUpdateTime: now, lastTransitionTime: now };
    const progress = {
      type: 'Progressing',
      status: 'True',
      reason: 'NewReplicaSetAvailable',
      message: '',
      ...times,
    };
    const status = { observedGeneration: metadata.generation, ...counts, conditions: [progress] };
    const { apiVersion, kind } = deployment;
    await this.admin.apply(
      KINDS.deployment,
      { apiVersion, kind, metadata: { name: 'reg', namespace }, status },
      { fieldManager: 'kubernetes', subresource: 'status' },
    );
  }

  async secretValue(namespace: string, name: string, key: string): Promise<string> {
    const value = readText(await this.get(KINDS.secret, namespace, name), 'data', key);
    return Buffer.from(value ?? '', 'base64').toString();
  }

  async configOf(namespace: string): Promise<unknown> {
    return JSON.parse(await this.secretValue(namespace, 'reg-config', 'config.json'));
  }

  /** Names and versions of the Registry and its objects. */
  async resourceVersions(namespace: string): Promise<string[]> {
    const objects = await this.#objects(namespace, [...OWNED, REGISTRY]);
    return objects.map(({ kind, metadata }) => `${kind} ${metadata.name} ${metadata.resourceVersion ?? ''}`);
  }

  /** The objects of the Registry without what differs from one Registry to the next. */
  async snapshot(namespace: string): Promise<unknown[]> {
    const objects = await this.#objects(namespace, OWNED);
    return objects.map((object) => comparable(object, namespace));
  }

  async #objects(namespace: string, kinds: readonly ResourceKind[]): Promise<KubeObject[]> {
    const objects = await Promise.all(
      kinds.flatMap((kind) => NAMES.map((name) => this.find(kind, namespace, name))),
    );
    return objects.filter((object) => object !== undefined);
  }
}

const ADDRESS = /^10\.0\.0\.\d+$/;

/** Keys and certificates are random, and so are the addresses that they and the configuration hold. */
function comparable(object: KubeObject, namespace: string): unknown {
  const { kind, metadata } = object;
  const isSecret = kind === 'Secret' || kind === 'ConfigMap';
  const content = isSecret ? Object.keys(Object(object['data'])) : object['spec'];
  const { name, labels, finalizers } = metadata;
  const text = JSON.stringify({ kind, name, labels, finalizers, content }, (_, value: unknown) =>
    typeof value === 'string' && ADDRESS.test(value) ? 'ADDRESS' : value,
  );
  return JSON.parse(text.replaceAll(namespace, 'NAMESPACE'));
}
