interface Entry<V> {
  readonly value: V;
  readonly bytes: number;
}

export interface ByteCacheLimits {
  /** Of all values together. */
  readonly maxBytes: number;
  /** A larger value would push many others out, and is not kept. */
  readonly maxEntryBytes: number;
}

/**
 * The values that were asked for last, within a bound of bytes. Nothing here is ever looked at again: it is for values
 * that cannot change (a digest determines them), or for callers that ask whether they have.
 */
export class ByteCache<V> {
  readonly #limits: ByteCacheLimits;
  /** The least recently used first. */
  readonly #entries = new Map<string, Entry<V>>();
  #bytes = 0;

  constructor(limits: ByteCacheLimits) {
    this.#limits = limits;
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** @param bytes memory that the value takes, roughly */
  add(key: string, value: V, bytes: number): void {
    this.delete(key);
    if (bytes > this.#limits.maxEntryBytes) return;
    this.#entries.set(key, { value, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#limits.maxBytes) return;
      this.delete(oldest);
    }
  }

  delete(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0;
    this.#entries.delete(key);
  }
}
