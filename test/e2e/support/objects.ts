import { setTimeout as sleep } from 'node:timers/promises';

import type { Cluster } from '../../cluster/cluster.ts';

/** A Kubernetes object as kubectl prints it. */
export interface LiveObject {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly generation: number;
    readonly resourceVersion: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec: Readonly<Record<string, unknown>>;
  readonly data?: Readonly<Record<string, string>>;
  /** Of an EndpointSlice. */
  readonly endpoints?: readonly { readonly addresses: readonly string[] }[];
  readonly status?: {
    readonly endpoint?: string;
    readonly caConfigMapName?: string;
    readonly certificate?: { readonly sha256Fingerprint?: string };
    readonly conditions?: readonly LiveCondition[];
    readonly podIP?: string;
    readonly phase?: string;
    readonly observedGeneration?: number;
  };
}

export interface LiveCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
}

/** One object, by `kind name`. */
export async function get(
  cluster: Cluster,
  namespace: string,
  kind: string,
  name: string,
): Promise<LiveObject> {
  return JSON.parse(await cluster.kubectl(['-n', namespace, 'get', kind, name, '-o', 'json'])) as LiveObject;
}

/** Objects of a kind with a label. */
export async function list(
  cluster: Cluster,
  namespace: string,
  kind: string,
  selector: string,
): Promise<LiveObject[]> {
  const text = await cluster.kubectl(['-n', namespace, 'get', kind, '-l', selector, '-o', 'json']);
  return (JSON.parse(text) as { items: LiveObject[] }).items;
}

/** Applies manifests as `kubectl apply -f -` does. */
export function apply(cluster: Cluster, namespace: string, ...objects: readonly object[]): Promise<string> {
  const input = objects.map((object) => JSON.stringify(object)).join('\n---\n');
  return cluster.kubectl(['-n', namespace, 'apply', '-f', '-'], { input });
}

/** Creates a namespace that admits only Pods of the restricted standard. */
export async function createNamespace(cluster: Cluster, name: string): Promise<string> {
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  await cluster.kubectl(['apply', '-f', '-'], {
    input: JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }),
  });
  return name;
}

/** A Registry of the smallest kind, to be changed by tests. */
export function registry(name: string, spec: Readonly<Record<string, unknown>> = {}): object {
  return {
    apiVersion: 'registry-operator.dev/v1alpha1',
    kind: 'Registry',
    metadata: { name },
    spec: { storage: { type: 'Ephemeral' }, auth: { anonymous: 'PullPush' }, ...spec },
  };
}

/** Waits as a user would; what the Registry says is in the error when it never becomes Ready. */
export async function waitUntilReady(
  cluster: Cluster,
  namespace: string,
  name: string,
  seconds = 60,
): Promise<void> {
  try {
    await cluster.kubectl([
      '-n',
      namespace,
      'wait',
      '--for=condition=Ready',
      `registry/${name}`,
      `--timeout=${seconds}s`,
    ]);
  } catch (error) {
    const state = await cluster.kubectl(['-n', namespace, 'describe', `registry/${name}`]);
    const pods = await cluster.kubectl(['-n', namespace, 'get', 'pods', '-o', 'wide']);
    throw new Error(`Registry ${name} is not Ready after ${seconds} s:\n${state}\n${pods}`, { cause: error });
  }
}

export async function condition(
  cluster: Cluster,
  namespace: string,
  name: string,
  type: string,
): Promise<LiveCondition | undefined> {
  const { status } = await get(cluster, namespace, 'registry', name);
  return status?.conditions?.find((entry) => entry.type === type);
}

/** Polls until the answer is truthy, and returns it. */
export async function eventually<T>(
  what: string,
  seconds: number,
  check: () => Promise<T | undefined | false>,
): Promise<T> {
  const end = performance.now() + seconds * 1000;
  let failure: unknown;
  for (;;) {
    try {
      const answer = await check();
      if (answer !== undefined && answer !== false) return answer;
      failure = undefined;
    } catch (error) {
      failure = error;
    }
    if (performance.now() > end) throw new Error(`timed out after ${seconds} s: ${what}`, { cause: failure });
    await sleep(200);
  }
}
