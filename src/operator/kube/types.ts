import type { V1ObjectMeta, V1OwnerReference } from '@kubernetes/client-node';

/**
 * The shapes that the runtime (`kube/`, `controller/`) and the controllers share. Objects travel as plain JSON,
 * exactly as the API server sends them: nothing is dropped, dates are strings.
 */

/** metadata as JSON: like V1ObjectMeta, with times as RFC 3339 strings. */
export interface ObjectMeta extends Omit<
  V1ObjectMeta,
  'creationTimestamp' | 'deletionTimestamp' | 'managedFields'
> {
  name: string;
  namespace?: string;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  ownerReferences?: V1OwnerReference[];
}

export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  [field: string]: unknown;
}

/** A kind as its URL needs it. */
export interface ResourceKind {
  /** `v1`, `apps/v1`, … */
  readonly apiVersion: string;
  readonly kind: string;
  /** Lower case plural, as in the URL. */
  readonly plural: string;
  readonly namespaced: boolean;
}

export interface ObjectKey {
  readonly namespace: string | undefined;
  readonly name: string;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
}

export interface ApplyOptions extends CallOptions {
  /** Owner of the fields in `managedFields`; conflicts are taken over. */
  readonly fieldManager: string;
  readonly subresource?: 'status';
}

export interface DeleteOptions extends CallOptions {
  readonly propagationPolicy?: 'Foreground' | 'Background' | 'Orphan';
  /** Deletes only the object with this UID. */
  readonly uid?: string;
}

/**
 * Calls of the Kubernetes API. Every call throws {@link import('./errors.ts').ApiError} for an answer that is not
 * 2xx, and retries by itself only what the API server asked to retry (429 and 503 with Retry-After).
 */
export interface KubeClient {
  /** @returns undefined when there is no such object */
  get<T extends KubeObject = KubeObject>(
    kind: ResourceKind,
    key: ObjectKey,
    options?: CallOptions,
  ): Promise<T | undefined>;
  create<T extends KubeObject = KubeObject>(
    kind: ResourceKind,
    object: KubeObject,
    options?: CallOptions,
  ): Promise<T>;
  /** PUT; fails with a conflict when `metadata.resourceVersion` is set and old. */
  replace<T extends KubeObject = KubeObject>(
    kind: ResourceKind,
    object: KubeObject,
    options?: CallOptions,
  ): Promise<T>;
  /** Server-side apply with force. */
  apply<T extends KubeObject = KubeObject>(
    kind: ResourceKind,
    object: KubeObject,
    options: ApplyOptions,
  ): Promise<T>;
  /** JSON merge patch. */
  mergePatch<T extends KubeObject = KubeObject>(
    kind: ResourceKind,
    key: ObjectKey,
    patch: object,
    options?: CallOptions,
  ): Promise<T>;
  /** @returns false when there was no such object */
  delete(kind: ResourceKind, key: ObjectKey, options?: DeleteOptions): Promise<boolean>;
  /** Whether the API server serves a kind, by discovery and by what lists of it have shown lately. */
  serves(kind: ResourceKind, options?: CallOptions): Promise<boolean>;
}

/** A synced, read-only view of one kind, kept up by a reflector. */
export interface Store<T extends KubeObject = KubeObject> {
  get(key: ObjectKey): T | undefined;
  list(): T[];
  hasSynced(): boolean;
}

export type WatchEventType = 'add' | 'update' | 'delete';

/** Writes Kubernetes events (events.k8s.io/v1); never throws, never blocks a reconcile. */
export interface EventRecorder {
  event(
    regarding: KubeObject,
    event: { type: 'Normal' | 'Warning'; reason: string; action: string; note: string },
  ): void;
}
