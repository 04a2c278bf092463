import { findCondition } from '../../kube/conditions.ts';
import type { EventRecorder, KubeObject } from '../../kube/types.ts';
import type { ConditionState } from './conditions.ts';
import type { Subject } from './reconcile-deps.ts';
import { REGISTRY_UID_ANNOTATION } from './resources/labels.ts';
import { objectNames } from './resources/names.ts';

/** Tells that an object was made or changed; an apply that found everything in place is not worth an event. */
export function reportApplied(
  events: EventRecorder,
  subject: Subject,
  { before, after }: { readonly before: KubeObject | undefined; readonly after: KubeObject },
): void {
  if (before?.metadata.resourceVersion === after.metadata.resourceVersion) return;
  const { kind, metadata } = after;
  if (kind === 'Secret' && metadata.name === objectNames(subject.object.metadata.name).tls) {
    tell(events, subject, 'CertificateIssued', `issued the certificate in Secret ${metadata.name}`);
    return;
  }
  const [reason, verb] = before === undefined ? ['Created', 'created'] : ['Updated', 'updated'];
  tell(events, subject, reason, `${verb} ${kind} ${metadata.name}`);
}

export function reportDeleted(events: EventRecorder, subject: Subject, { kind, metadata }: KubeObject): void {
  tell(events, subject, 'Deleted', `deleted ${kind} ${metadata.name}`);
}

/** Tells that the content of an earlier Registry of the same name is used again. */
export function reportAdopted(events: EventRecorder, subject: Subject, before: KubeObject | undefined): void {
  if (before?.kind !== 'PersistentVolumeClaim') return;
  const former = before.metadata.annotations?.[REGISTRY_UID_ANNOTATION];
  if (former === subject.object.metadata.uid) return;
  const note = `PersistentVolumeClaim ${before.metadata.name} of an earlier Registry is used again, with its content`;
  tell(events, subject, 'ClaimAdopted', note);
}

/** Tells when the reason of `Ready` has changed to a problem, or the problem is gone. */
export function reportReady(
  events: EventRecorder,
  subject: Subject,
  states: readonly ConditionState[],
): void {
  const now = states.find(({ type }) => type === 'Ready');
  const before = findCondition(subject.registry.status?.conditions ?? [], 'Ready');
  if (now === undefined || before?.reason === now.reason) return;
  if (now.status === 'True') {
    tell(events, subject, now.reason, now.message);
    return;
  }
  if (CALM_REASONS.has(now.reason)) return;
  const event = { type: 'Warning', reason: now.reason, action: 'Reconcile', note: now.message } as const;
  events.event(subject.object, event);
}

/** Reasons not to be ready that belong to every start or were asked for. */
const CALM_REASONS = new Set(['WaitingForPods', 'WaitingForCertificate', 'Stopped', 'Paused']);

export function reportVolume(events: EventRecorder, registry: KubeObject, note: string): void {
  events.event(registry, { type: 'Normal', reason: 'VolumeReleased', action: 'Delete', note });
}

function tell(events: EventRecorder, { object }: Subject, reason: string, note: string): void {
  events.event(object, { type: 'Normal', reason, action: 'Reconcile', note });
}
