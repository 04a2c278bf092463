import { formatKey } from '../../kube/store.ts';
import type {
  CallOptions,
  KubeClient,
  KubeObject,
  ObjectKey,
  ResourceKind,
  Store,
} from '../../kube/types.ts';

/** Most objects that are remembered; a cluster with more re-reads some of them. */
const MAX_REMEMBERED = 1000;

/**
 * Reads objects that users have made. Only their metadata is watched, so that the operator does not hold every
 * Secret of the cluster in memory; the content is fetched when it is referred to, once per version.
 */
export class ReferenceReader {
  readonly #client: KubeClient;
  readonly #kind: ResourceKind;
  readonly #metadata: Store;
  readonly #remembered = new Map<string, KubeObject>();

  constructor(client: KubeClient, kind: ResourceKind, metadata: Store) {
    this.#client = client;
    this.#kind = kind;
    this.#metadata = metadata;
  }

  /** @returns undefined when there is no such object */
  async get(key: ObjectKey, options: CallOptions): Promise<KubeObject | undefined> {
    const id = formatKey(key);
    const version = this.#metadata.get(key)?.metadata.resourceVersion;
    if (version === undefined) {
      this.#remembered.delete(id);
      return undefined;
    }
    const known = this.#remembered.get(id);
    if (known?.metadata.resourceVersion === version) return known;
    const object = await this.#client.get(this.#kind, key, options);
    this.#remembered.delete(id);
    if (object) this.#remembered.set(id, object);
    const [oldest] = this.#remembered.keys();
    if (this.#remembered.size > MAX_REMEMBERED && oldest !== undefined) this.#remembered.delete(oldest);
    return object;
  }
}
