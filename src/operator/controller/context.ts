import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/logger.ts';
import type { IndexedStore, Indexers } from '../kube/store.ts';
import type { EventRecorder, KubeClient, KubeObject, ResourceKind, WatchEventType } from '../kube/types.ts';
import type { OperatorMetrics } from '../metrics.ts';

/** What a controller may know of how the operator was started. */
export interface ControllerConfig {
  /** Namespaces that the operator looks after; empty means all of them. */
  readonly watchNamespaces: readonly string[];
  /** Image of the registry server for a Registry that names none. */
  readonly operandImage: string;
  /** DNS domain of the cluster, `cluster.local` in most clusters. */
  readonly clusterDomain: string;
  /** Version of the operator. */
  readonly version: string;
}

/** One kind that a controller wants to see, and what a change of it means. */
export interface ReflectOptions<T extends KubeObject = KubeObject> {
  readonly kind: ResourceKind;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Keeps `metadata` alone (PartialObjectMetadata): for kinds of which only names and labels matter. */
  readonly metadataOnly?: boolean;
  /** Lookups of {@link IndexedStore.byIndex}, by name of the index. */
  readonly indexers?: Indexers<T>;
  /**
   * Marks a kind that may not be installed, such as ServiceMonitor: while the API server does not serve it the
   * store is empty and counts as synced; it is asked again every half a minute.
   */
  readonly optional?: boolean;
  /** Called when an optional kind was installed or uninstalled, before its objects are told. */
  onPresence?(present: boolean): void;
  /**
   * Maps a changed object to keys of the queue. Called with the new object and, for an update, also with the old
   * one, so that the former owner of an object hears of a change as well. An error is logged and counts as no key.
   */
  keys?(object: T): Iterable<string>;
  /** Called after `keys`, for what is not a matter of the queue. `old` is set for an update. */
  onEvent?(type: WatchEventType, object: T, old?: T): void;
}

/** Everything that a controller is given. */
export interface ControllerContext {
  readonly client: KubeClient;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: OperatorMetrics;
  readonly config: ControllerConfig;
  /** Aborted when the operator stops. */
  readonly signal: AbortSignal;
  /** Reaches pods (`kube/pod-status.ts`). */
  readonly fetch: typeof globalThis.fetch;
  /**
   * Watches a kind in every namespace of the configuration. Call it while the controller is created: watches start
   * afterwards, and no key is reconciled before all stores have synced and this process leads.
   */
  reflect<T extends KubeObject = KubeObject>(options: ReflectOptions<T>): IndexedStore<T>;
  /** Puts a key (`namespace/name`) into the queue, now or after a delay in milliseconds. */
  queueAdd(key: string, afterMs?: number): void;
}

export interface ReconcileResult {
  /** Reconcile again after so many milliseconds, even if nothing changes. */
  readonly requeueAfterMs?: number | undefined;
}

/** What a controller gives back: its policy, to be driven by `controller.ts`. */
export interface ControllerDefinition {
  /** Label of its metrics and logs. */
  readonly name: string;
  /**
   * Brings the object of one key to its desired state. May be called for a key whose object is gone. Never runs
   * twice at a time for one key.
   *
   * A conflict of the API server is retried quietly, `TerminalError` not before something changes, everything else
   * with backoff.
   *
   * @param signal aborted at the deadline of one reconcile, at the loss of the lease and at the end of the process
   */
  reconcile(key: string, signal: AbortSignal): Promise<ReconcileResult>;
}

/** The entry of a controller. */
export type ControllerFactory = (context: ControllerContext) => ControllerDefinition;
