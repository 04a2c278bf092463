import type { ConditionType, Registry } from '../../../api/v1alpha1/registry.ts';
import { liveObject } from './checks/ownership.ts';
import { type Violation, workload } from './checks/violation.ts';
import { isWaitingForCertificate } from './desired.ts';
import type { Facts } from './facts.ts';
import { readText } from './read.ts';
import { objectNames } from './resources/names.ts';
import { claimName } from './resources/pvc.ts';
import { type Rollout, rolloutOf } from './rollout.ts';

/** A condition without what time and the API add to it. */
export interface ConditionState {
  readonly type: ConditionType;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

/** Everything that conditions are made of. */
export interface Situation {
  readonly registry: Registry;
  readonly facts: Facts;
  readonly violations: readonly Violation[];
  /** Hash of the configuration that pods should have loaded; unset until there is one. */
  readonly wantedHash: string | undefined;
}

type State = Omit<ConditionState, 'type'>;

/** All conditions, `Ready` first. */
export function conditions(situation: Situation): ConditionState[] {
  const { registry, facts, violations } = situation;
  const rollout = rolloutOf(
    liveObject(facts, { kind: 'Deployment', name: objectNames(registry.metadata.name).base }),
  );
  const states: [ConditionType, State][] = [
    ['Ready', ready(situation, rollout)],
    ['Progressing', progressing(situation, rollout)],
    ['StorageReady', broken(violations, 'StorageReady') ?? storageReady(registry, facts)],
    ['CertificateReady', broken(violations, 'CertificateReady') ?? certificateReady(registry, facts)],
    ['ConfigApplied', broken(violations, 'ConfigApplied') ?? configApplied(situation)],
  ];
  return states.map(([type, { status, reason, message }]) => ({ type, status, reason, message }));
}

function yes(reason: string, message: string): State {
  return { status: 'True', reason, message };
}

function no(reason: string, message: string): State {
  return { status: 'False', reason, message };
}

function broken(violations: readonly Violation[], condition: ConditionType): State | undefined {
  const violation = violations.find((candidate) => candidate.condition === condition);
  return violation && no(violation.reason, violation.message);
}

function ready(situation: Situation, rollout: Rollout): State {
  const { registry, facts, violations } = situation;
  const { paused, replicas } = registry.spec;
  const tally = `${rollout.available} of ${replicas} pods are available`;
  const [violation] = violations;
  if (paused === true) {
    const message = `changes wait until spec.paused is unset; ${tally}`;
    return rollout.available > 0 ? yes('Paused', message) : no('Paused', message);
  }
  if (violation) return no(violation.reason, violation.message);
  if (replicas === 0) return no('Stopped', 'spec.replicas is 0; the content is kept');
  if (isWaitingForCertificate(registry, facts))
    return no('WaitingForCertificate', 'there is no certificate yet');
  if (rollout.stuck !== undefined)
    return no('RolloutStuck', [rollout.stuck, ...podProblems(facts)].join('; '));
  if (rollout.current && rollout.available >= enough(situation)) return yes('Available', tally);
  return no('WaitingForPods', [tally, ...podProblems(facts)].join('; '));
}

/**
 * Pods that must serve before the Registry is ready: all of them after a change, and one from then on, so that
 * a pod that moves to another node does not make the Registry look broken.
 */
function enough({ registry }: Situation): number {
  const { spec, status, metadata } = registry;
  const before = status?.conditions?.find(({ type }) => type === 'Ready');
  const wasReady = before?.status === 'True' && before.observedGeneration === metadata.generation;
  return wasReady ? 1 : spec.replicas;
}

function podProblems({ pods }: Facts): string[] {
  return pods.flatMap(({ name, problem }) => (problem === undefined ? [] : [`pod ${name}: ${problem}`]));
}

function progressing(situation: Situation, rollout: Rollout): State {
  const { registry, facts, violations } = situation;
  const isHeld = workload(registry).every(({ kind, name }) =>
    violations.some(({ holds }) => holds.some((held) => held.kind === kind && held.name === name)),
  );
  if (registry.spec.paused === true) return no('Paused', 'changes wait until spec.paused is unset');
  if (isHeld) return no('Blocked', 'the pods stay as they are until the problem that Ready names is solved');
  if (isWaitingForCertificate(registry, facts))
    return yes('WaitingForCertificate', 'there is no certificate yet');
  if (rollout.stuck !== undefined) return no('RolloutStuck', rollout.stuck);
  if (rollout.progressing) return yes('RollingOut', 'pods of the newest revision are being brought up');
  return no('Complete', 'all pods are of the newest revision');
}

function storageReady(registry: Registry, facts: Facts): State {
  const { type } = registry.spec.storage;
  if (type === 'S3') return yes('Configured', 'every pod checks the bucket before it serves');
  if (type === 'Ephemeral') return yes('Ephemeral', 'content is lost when the pod ends');
  const name = claimName(registry) ?? '';
  const claim = facts.existingClaim ?? liveObject(facts, { kind: 'PersistentVolumeClaim', name });
  const phase = readText(claim, 'status', 'phase');
  if (phase === 'Bound') return yes('ClaimBound', `PersistentVolumeClaim "${name}" is bound`);
  return no('ClaimPending', `PersistentVolumeClaim "${name}" is not bound yet`);
}

function certificateReady(registry: Registry, { certificate }: Facts): State {
  if (registry.spec.tls.type === 'None') return yes('NotUsed', 'the registry is served over plain HTTP');
  if (certificate === undefined) return no('WaitingForService', 'the Service has no address yet');
  const end = certificate.info?.notAfter.toISOString() ?? 'an unknown time';
  return yes(registry.spec.tls.type === 'SelfSigned' ? 'Issued' : 'Valid', `valid until ${end}`);
}

function configApplied({ registry, facts, wantedHash }: Situation): State {
  if (registry.spec.replicas === 0) return yes('Stopped', 'there are no pods');
  const loaded = facts.pods.filter(({ loadedHash }) => loadedHash === wantedHash).length;
  const message = `${loaded} of ${registry.spec.replicas} pods have loaded the configuration`;
  if (wantedHash === undefined || facts.pods.length === 0) return no('WaitingForPods', message);
  return loaded === facts.pods.length ? yes('Loaded', message) : no('Loading', message);
}
