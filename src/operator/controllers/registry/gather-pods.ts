import { type PodReport, readPodStatus } from '../../kube/pod-status.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { PodFacts } from './facts.ts';
import { read, readList, readText } from './read.ts';

/** Reasons of a waiting container that pass by themselves. */
const HARMLESS = new Set(['ContainerCreating', 'PodInitializing']);

/** Asks the pods of one Registry what they have loaded. */
export async function gatherPods(
  pods: readonly KubeObject[],
  options: { readonly fetch: typeof globalThis.fetch; readonly signal: AbortSignal },
): Promise<PodFacts[]> {
  const present = pods
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .filter((pod) => readText(pod, 'status', 'phase') !== 'Failed')
    .toSorted((a, b) => (age(a) < age(b) ? -1 : 1));
  const addresses = present.flatMap((pod) => {
    const ip = readText(pod, 'status', 'podIP');
    return ip === undefined ? [] : [{ name: pod.metadata.name, ip }];
  });
  const reports = await readPodStatus(addresses, options);
  return present.map((pod) => podFacts(pod, reports.get(pod.metadata.name)));
}

function age({ metadata }: KubeObject): string {
  return `${metadata.creationTimestamp ?? ''} ${metadata.name}`;
}

function podFacts(pod: KubeObject, report: PodReport | undefined): PodFacts {
  const conditions = readList(pod, 'status', 'conditions');
  return {
    name: pod.metadata.name,
    loadedHash: report?.loadedHash,
    version: report?.version,
    problem: containerProblem(pod) ?? schedulingProblem(conditions),
  };
}

function containerProblem(pod: KubeObject): string | undefined {
  const [container] = readList(pod, 'status', 'containerStatuses');
  const waiting = read(container, 'state', 'waiting');
  const reason = readText(waiting, 'reason');
  if (reason === undefined || HARMLESS.has(reason)) return undefined;
  return sentence(reason, readText(waiting, 'message'));
}

function schedulingProblem(conditions: readonly unknown[]): string | undefined {
  const scheduled = conditions.find((condition) => readText(condition, 'type') === 'PodScheduled');
  if (readText(scheduled, 'status') !== 'False') return undefined;
  return sentence(readText(scheduled, 'reason') ?? 'Unschedulable', readText(scheduled, 'message'));
}

function sentence(reason: string, message: string | undefined): string {
  return message === undefined ? reason : `${reason}: ${message}`;
}
