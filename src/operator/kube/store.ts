import type { KubeObject, ObjectKey, Store, WatchEventType } from './types.ts';

/** Functions that name the values under which an object is found, by name of the index. */
export type Indexers<T extends KubeObject = KubeObject> = Readonly<
  Record<string, (object: T) => readonly string[]>
>;

/** A store with lookups other than by name. */
export interface IndexedStore<T extends KubeObject = KubeObject> extends Store<T> {
  /** Objects for which the indexer of that name gave `value`; empty for an unknown index. */
  byIndex(index: string, value: string): T[];
}

/** One change of the content of a store. */
export interface StoreChange<T extends KubeObject = KubeObject> {
  readonly type: WatchEventType;
  readonly object: T;
  readonly old?: T;
}

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** The key of an object in a store and in a queue: `namespace/name`, or `name` for cluster-wide kinds. */
export function keyOf({ metadata }: KubeObject): string {
  return formatKey({ namespace: metadata.namespace, name: metadata.name });
}

export function formatKey({ namespace, name }: ObjectKey): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** The reverse of {@link formatKey}. */
export function parseKey(key: string): ObjectKey {
  const slash = key.indexOf('/');
  return slash < 0
    ? { namespace: undefined, name: key }
    : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/**
 * The objects of one kind as last seen. Changes are told as add, update and delete; an object that was deleted and
 * made again under the same name has another UID and is told as delete and add, even if the deletion itself was
 * never seen. What no controller reads and what can be large (`managedFields`, kubectl's last-applied annotation) is
 * dropped. Objects are frozen: they are shared by everybody who reads the store.
 */
export class ObjectStore<T extends KubeObject = KubeObject> implements IndexedStore<T> {
  readonly #objects = new Map<string, T>();
  readonly #indexers: Indexers<T>;
  readonly #indexes = new Map<string, Map<string, Set<string>>>();
  #synced = false;

  constructor(indexers: Indexers<T> = {}) {
    this.#indexers = indexers;
    for (const name of Object.keys(indexers)) this.#indexes.set(name, new Map());
  }

  get(key: ObjectKey): T | undefined {
    return this.#objects.get(formatKey(key));
  }

  list(): T[] {
    return [...this.#objects.values()];
  }

  byIndex(index: string, value: string): T[] {
    const keys = this.#indexes.get(index)?.get(value) ?? [];
    return [...keys].flatMap((key) => this.#objects.get(key) ?? []);
  }

  hasSynced(): boolean {
    return this.#synced;
  }

  /** Takes over a complete list; every object that it lacks is deleted. */
  replaceAll(objects: readonly T[]): StoreChange<T>[] {
    const present = new Set(objects.map((object) => keyOf(object)));
    const gone = [...this.#objects.values()].filter((object) => !present.has(keyOf(object)));
    const changes = [
      ...gone.flatMap((object) => this.remove(object)),
      ...objects.flatMap((object) => this.put(object)),
    ];
    this.#synced = true;
    return changes;
  }

  /** Adds or updates; nothing is told when the resourceVersion is the known one. */
  put(object: T): StoreChange<T>[] {
    const key = keyOf(object);
    const known = this.#objects.get(key);
    if (known && sameVersion(known, object)) return [];
    const stored = slim(object);
    this.#set(key, stored);
    if (!known) return [{ type: 'add', object: stored }];
    if (known.metadata.uid === stored.metadata.uid) return [{ type: 'update', object: stored, old: known }];
    return [
      { type: 'delete', object: known },
      { type: 'add', object: stored },
    ];
  }

  /** Removes the object of that name; the change carries the last state that was sent. */
  remove(object: T): StoreChange<T>[] {
    const key = keyOf(object);
    const known = this.#objects.get(key);
    if (!known) return [];
    this.#set(key, undefined);
    const last = known.metadata.uid === object.metadata.uid ? slim(object) : known;
    return [{ type: 'delete', object: last }];
  }

  /** Marks a store as synced that has nothing to reflect, because its kind is not installed. */
  markSynced(): void {
    this.#synced = true;
  }

  #set(key: string, object: T | undefined): void {
    const known = this.#objects.get(key);
    if (known) this.#index(known, (keys) => keys.delete(key));
    if (!object) {
      this.#objects.delete(key);
      return;
    }
    this.#objects.set(key, object);
    this.#index(object, (keys) => keys.add(key));
  }

  #index(object: T, change: (keys: Set<string>) => void): void {
    for (const [name, indexer] of Object.entries(this.#indexers)) {
      const index = this.#indexes.get(name);
      for (const value of indexer(object)) {
        const keys = index?.get(value) ?? new Set<string>();
        change(keys);
        if (keys.size === 0) index?.delete(value);
        else index?.set(value, keys);
      }
    }
  }
}

/** Reads several stores of one kind as one: one per watched namespace. */
export class UnionStore<T extends KubeObject = KubeObject> implements IndexedStore<T> {
  readonly #stores: readonly IndexedStore<T>[];

  constructor(stores: readonly IndexedStore<T>[]) {
    this.#stores = stores;
  }

  get(key: ObjectKey): T | undefined {
    for (const store of this.#stores) {
      const object = store.get(key);
      if (object) return object;
    }
    return undefined;
  }

  list(): T[] {
    return this.#stores.flatMap((store) => store.list());
  }

  byIndex(index: string, value: string): T[] {
    return this.#stores.flatMap((store) => store.byIndex(index, value));
  }

  hasSynced(): boolean {
    return this.#stores.every((store) => store.hasSynced());
  }
}

function sameVersion(a: KubeObject, b: KubeObject): boolean {
  return a.metadata.uid === b.metadata.uid && a.metadata.resourceVersion === b.metadata.resourceVersion;
}

function slim<T extends KubeObject>(object: T): T {
  const metadata = { ...object.metadata };
  if ('managedFields' in metadata) delete metadata.managedFields;
  if (metadata.annotations && LAST_APPLIED in metadata.annotations) {
    const { [LAST_APPLIED]: _dropped, ...annotations } = metadata.annotations;
    metadata.annotations = annotations;
  }
  return deepFreeze({ ...object, metadata });
}

function deepFreeze<V>(value: V): V {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const member of Object.values(value)) deepFreeze(member);
  return Object.freeze(value);
}
