import { FINALIZER } from '../../../api/group.ts';
import { removeFinalizer } from '../../kube/finalizer.ts';
import { KINDS } from '../../kube/kinds.ts';
import type { KubeObject } from '../../kube/types.ts';
import { REGISTRY } from './gather-kinds.ts';
import { readText } from './read.ts';
import type { ReconcileDeps } from './reconcile-deps.ts';
import { reportVolume } from './reconcile-events.ts';
import { REGISTRY_UID_ANNOTATION } from './resources/labels.ts';
import { objectNames } from './resources/names.ts';
import { isOurs } from './resources/ownership.ts';

/**
 * Decides what happens to the volume of a Registry that is being deleted, and lets the Registry go. Everything else
 * belongs to it and is deleted by Kubernetes. A claim that somebody else has made is never touched.
 *
 * @param registry as it comes from the API server: one that is not valid can be deleted, too
 */
export async function finalize(
  registry: KubeObject,
  deps: ReconcileDeps,
  signal: AbortSignal,
): Promise<void> {
  const { namespace, uid, finalizers = [] } = registry.metadata;
  // What still holds it, such as foreground deletion, is not ours to wait for.
  if (!finalizers.includes(FINALIZER)) return;
  const key = { namespace, name: objectNames(registry.metadata.name).data };
  const claim = await deps.client.get(KINDS.persistentVolumeClaim, key, { signal });
  if (claim !== undefined && isUsedBy(registry, claim)) await release(registry, claim, deps, signal);
  await removeFinalizer(deps.client, REGISTRY, registry, { finalizer: FINALIZER, signal });
  deps.issuer.forget(uid);
  deps.memory.forget(uid);
}

/** A claim that an earlier Registry of the name has left, and this one never took over, keeps its content. */
function isUsedBy(registry: KubeObject, claim: KubeObject): boolean {
  const { uid } = registry.metadata;
  return (
    isOurs(registry, claim) &&
    uid !== undefined &&
    claim.metadata.annotations?.[REGISTRY_UID_ANNOTATION] === uid
  );
}

async function release(
  registry: KubeObject,
  claim: KubeObject,
  deps: ReconcileDeps,
  signal: AbortSignal,
): Promise<void> {
  const { name, namespace, uid } = claim.metadata;
  if (readText(registry, 'spec', 'deletionPolicy') !== 'Delete') {
    const note = `PersistentVolumeClaim ${name} is kept with its content; a new Registry of this name uses it again`;
    reportVolume(deps.events, registry, note);
    return;
  }
  const options = { signal, ...(uid === undefined ? {} : { uid }) };
  await deps.client.delete(KINDS.persistentVolumeClaim, { namespace, name }, options);
  reportVolume(deps.events, registry, `deleted PersistentVolumeClaim ${name} with its content`);
}
