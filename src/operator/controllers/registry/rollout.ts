import type { KubeObject } from '../../kube/types.ts';
import { isRolledOut } from './plan.ts';
import { read, readCount, readList, readText } from './read.ts';

/** How far the pods of a Deployment are. */
export interface Rollout {
  readonly replicas: number;
  readonly ready: number;
  readonly updated: number;
  readonly available: number;
  /** Every pod is of the newest revision, whether it serves or not. */
  readonly current: boolean;
  /** Kubernetes is still bringing up the newest revision; a pod that moves to another node does not count. */
  readonly progressing: boolean;
  /** Why it has given up. */
  readonly stuck?: string | undefined;
}

/** Reads the status of a Deployment. */
export function rolloutOf(deployment: KubeObject | undefined): Rollout {
  const status = deployment?.['status'];
  const progress = readList(status, 'conditions').find((entry) => readText(entry, 'type') === 'Progressing');
  const seen =
    readCount(status, 'observedGeneration') >= readCount(deployment, 'metadata', 'generation') &&
    deployment !== undefined;
  const failed = seen && read(progress, 'status') === 'False';
  return {
    replicas: readCount(status, 'replicas'),
    ready: readCount(status, 'readyReplicas'),
    updated: readCount(status, 'updatedReplicas'),
    available: readCount(status, 'availableReplicas'),
    current: deployment !== undefined && isRolledOut(deployment),
    progressing: !failed && !(seen && readText(progress, 'reason') === 'NewReplicaSetAvailable'),
    stuck: failed ? (readText(progress, 'message') ?? 'the rollout does not progress') : undefined,
  };
}
