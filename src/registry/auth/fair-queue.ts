/**
 * A queue of bounded length from which owners are served in turn, and in which none of them can take the place of
 * another: when it is full, the newest entry of the owner with most of them goes.
 */
export class FairQueue<T> {
  readonly #max: number;
  readonly #ownerOf: (entry: T) => string;
  /** Never empty lists; the owner whose turn is next stands first. */
  readonly #entries = new Map<string, T[]>();
  #size = 0;

  constructor(max: number, ownerOf: (entry: T) => string) {
    this.#max = max;
    this.#ownerOf = ownerOf;
  }

  /** @returns the entry that has no place any more, which may be the new one */
  add(entry: T): T | undefined {
    const owner = this.#ownerOf(entry);
    const own = this.#entries.get(owner);
    if (own) own.push(entry);
    else this.#entries.set(owner, [entry]);
    this.#size += 1;
    return this.#size > this.#max ? this.#dropNewest(owner) : undefined;
  }

  /** Takes out the oldest entry of the owner whose turn it is. */
  take(): T | undefined {
    const [first] = this.#entries;
    if (!first) return undefined;
    const [owner, entries] = first;
    const entry = entries.shift();
    this.#size -= 1;
    this.#entries.delete(owner);
    if (entries.length > 0) this.#entries.set(owner, entries);
    return entry;
  }

  /** @returns false when the entry is not there */
  remove(entry: T): boolean {
    const owner = this.#ownerOf(entry);
    const entries = this.#entries.get(owner) ?? [];
    const index = entries.indexOf(entry);
    if (index === -1) return false;
    entries.splice(index, 1);
    this.#size -= 1;
    if (entries.length === 0) this.#entries.delete(owner);
    return true;
  }

  /** Empties the queue. */
  takeAll(): T[] {
    const all = [...this.#entries.values()].flat();
    this.#entries.clear();
    this.#size = 0;
    return all;
  }

  /** Of owners that have as many entries, the one that has come last makes way. */
  #dropNewest(newest: string): T | undefined {
    let longest = newest;
    let length = this.#entries.get(newest)?.length ?? 0;
    for (const [owner, entries] of this.#entries) {
      if (entries.length > length) [longest, length] = [owner, entries.length];
    }
    const entry = this.#entries.get(longest)?.at(-1);
    if (entry !== undefined) this.remove(entry);
    return entry;
  }
}
