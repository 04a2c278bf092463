import { hashOf } from '../../shared/json.ts';
import { isRecord } from './answer.ts';
import { keyOf } from './store.ts';
import type { CallOptions, KubeClient, KubeObject, ResourceKind } from './types.ts';

export interface ApplierOptions {
  readonly client: KubeClient;
  /** Owner of the fields in `managedFields`. */
  readonly fieldManager: string;
  /** Key of the annotation that carries the hash of the desired object. */
  readonly annotation: string;
}

export interface ApplyOutcome<T extends KubeObject> {
  /** The object as it is now; the live one when nothing was written. */
  readonly object: T;
  readonly written: boolean;
}

/** What was seen right after an apply of this process. */
interface Memory {
  readonly uid: string | undefined;
  readonly hash: string;
  readonly generation: number | undefined;
  /** The fields of the desired object as the API server stored them: quantities normalised and so on. */
  readonly projection: string;
  /** Version on which the apply was decided: a store that still shows it has not caught up. */
  readonly basedOn: string | undefined;
  /** Kept until the store has caught up. */
  readonly result: KubeObject | undefined;
}

/** Objects whose last apply is remembered; one that is forgotten is compared as after a restart. */
const MAX_REMEMBERED = 20_000;

/**
 * Applies objects without needless writes (docs/architecture.md, "no-write rule").
 *
 * Nothing is written when the annotation of the live object names the desired object and nobody has touched what we
 * own since: for kinds with a generation when that is still the one seen at our apply, for others, and after a
 * restart of the operator, when every desired field is found in the live object. A value that the API server stores
 * in another form (`1000m` as `1`) makes that comparison fail once per start; the apply that follows changes nothing
 * and teaches the stored form.
 */
export class Applier {
  readonly #options: ApplierOptions;
  readonly #memory = new Map<string, Memory>();

  constructor(options: ApplierOptions) {
    this.#options = options;
  }

  /**
   * @param live the object as last seen; undefined when there is none
   * @throws ApiError when the API server refuses the object
   */
  async applyIfChanged<T extends KubeObject = KubeObject>(
    kind: ResourceKind,
    desired: KubeObject,
    live: T | undefined,
    options: CallOptions = {},
  ): Promise<ApplyOutcome<T>> {
    const { client, fieldManager } = this.#options;
    const hash = hashOf(desired);
    const annotated = this.#annotated(desired, hash);
    const current = this.#current(kind, annotated, live);
    if (current && this.#upToDate(kind, annotated, { live: current, hash }))
      return { object: current, written: false };
    const object = await client.apply<T>(kind, annotated, { ...options, fieldManager });
    const basedOn = live?.metadata.resourceVersion;
    this.#remember(memoryKey(kind, annotated), { ...seen(annotated, object, hash), basedOn, result: object });
    return { object, written: true };
  }

  /** Forgets an object that was deleted. */
  forget(kind: ResourceKind, object: KubeObject): void {
    this.#memory.delete(memoryKey(kind, object));
  }

  /** The live object, or the result of our own apply where the store does not show it yet. */
  #current<T extends KubeObject>(
    kind: ResourceKind,
    desired: KubeObject,
    live: T | undefined,
  ): T | undefined {
    const key = memoryKey(kind, desired);
    const memory = this.#memory.get(key);
    if (!live || !memory?.result) return live;
    const behind = memory.basedOn !== undefined && memory.basedOn === live.metadata.resourceVersion;
    if (behind && isSame<T>(memory.result, live)) return memory.result;
    this.#memory.set(key, { ...memory, result: undefined });
    return live;
  }

  #upToDate(kind: ResourceKind, desired: KubeObject, state: { live: KubeObject; hash: string }): boolean {
    const { live, hash } = state;
    if (live.metadata.annotations?.[this.#options.annotation] !== hash) return false;
    const key = memoryKey(kind, desired);
    const known = this.#memory.get(key);
    if (known?.uid === live.metadata.uid && known?.hash === hash) return untouched(known, desired, live);
    if (!contains(live, desired)) return false;
    this.#remember(key, { ...seen(desired, live, hash), basedOn: undefined, result: undefined });
    return true;
  }

  #remember(key: string, memory: Memory): void {
    this.#memory.delete(key);
    this.#memory.set(key, memory);
    const oldest = this.#memory.keys().next();
    if (this.#memory.size > MAX_REMEMBERED && oldest.done !== true) this.#memory.delete(oldest.value);
  }

  #annotated(desired: KubeObject, hash: string): KubeObject {
    const { metadata } = desired;
    const annotations = { ...metadata.annotations, [this.#options.annotation]: hash };
    return { ...desired, metadata: { ...metadata, annotations } };
  }
}

function memoryKey({ apiVersion, plural }: ResourceKind, object: KubeObject): string {
  return `${apiVersion}/${plural}/${keyOf(object)}`;
}

function seen(desired: KubeObject, object: KubeObject, hash: string): Omit<Memory, 'basedOn' | 'result'> {
  const { uid, generation } = object.metadata;
  return { uid, hash, generation, projection: projectionHash(desired, object) };
}

/** Whether nobody has changed what we own since our apply. */
function untouched(known: Memory, desired: KubeObject, live: KubeObject): boolean {
  const { generation } = live.metadata;
  if (generation !== undefined && generation !== known.generation) return false;
  return projectionHash(desired, live) === known.projection || contains(live, desired);
}

function isSame<T extends KubeObject>(result: KubeObject, live: T): result is T {
  return result.kind === live.kind && result.metadata.uid === live.metadata.uid;
}

function projectionHash(desired: KubeObject, live: KubeObject): string {
  return hashOf(project(desired, live));
}

/** The part of `live` that `desired` speaks of. */
function project(desired: unknown, live: unknown): unknown {
  if (isRecord(desired) && isRecord(live)) {
    const members = Object.entries(desired).filter(([, value]) => value !== undefined);
    return Object.fromEntries(members.map(([key, value]) => [key, project(value, live[key])]));
  }
  if (!Array.isArray(desired) || !Array.isArray(live)) return live;
  if (!desired.every((item) => isRecord(item))) return live;
  return desired.map((item: unknown) => project(item, partner(item, live)));
}

/**
 * Whether every value of `desired` is found in `live`. Lists of objects may hold more in `live` (other managers add
 * to keyed lists), lists of plain values may not.
 */
export function contains(live: unknown, desired: unknown): boolean {
  if (desired === undefined) return true;
  if (isRecord(desired)) {
    return isRecord(live) && Object.entries(desired).every(([key, value]) => contains(live[key], value));
  }
  if (!Array.isArray(desired)) return live === desired;
  if (!Array.isArray(live)) return false;
  if (desired.some((item) => isRecord(item)))
    return desired.every((item: unknown) => live.some((other: unknown) => contains(other, item)));
  return live.length === desired.length && desired.every((item, index) => contains(live[index], item));
}

const LIST_KEYS = ['name', 'uid', 'containerPort', 'port', 'mountPath', 'type', 'ip', 'topologyKey'];

/** The item of a list of objects that is the same thing as `item`, by the first of the usual keys that it has. */
function partner(item: unknown, live: readonly unknown[]): unknown {
  if (!isRecord(item)) return undefined;
  const key = LIST_KEYS.find((name) => item[name] !== undefined);
  if (key === undefined) return live;
  return live.find((other) => isRecord(other) && other[key] === item[key]);
}
