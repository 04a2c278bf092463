import type { KubeObject } from '../../kube/types.ts';

interface Entry {
  /** Versions that our own writes have replaced. */
  readonly replaced: Set<string | undefined>;
  readonly newest: KubeObject;
}

/**
 * Remembers Registries as our own writes have left them, until the cache shows them. Without it a reconcile right
 * after a write would see the state before, and write and tell everything a second time.
 */
export class RegistryMemory {
  readonly #entries = new Map<string, Entry>();

  /** The Registry as it is: what the cache shows, unless that is known to be older than our own last write. */
  newest(cached: KubeObject): KubeObject {
    const { uid = '', resourceVersion } = cached.metadata;
    const entry = this.#entries.get(uid);
    if (entry?.replaced.has(resourceVersion) === true) return entry.newest;
    this.#entries.delete(uid);
    return cached;
  }

  /** Takes the answer to a write that was based on `before`. */
  remember(before: KubeObject, after: KubeObject): void {
    const { uid = '' } = before.metadata;
    const replaced = this.#entries.get(uid)?.replaced ?? new Set();
    if (before.metadata.resourceVersion === after.metadata.resourceVersion) return;
    this.#entries.set(uid, { replaced: replaced.add(before.metadata.resourceVersion), newest: after });
  }

  /** Forgets a Registry that is gone. */
  forget(uid: string | undefined): void {
    this.#entries.delete(uid ?? '');
  }
}
