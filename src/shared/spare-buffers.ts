/** Buffers that nobody took for one to two times so long are given up. */
const REST_MS = 10_000;

export interface SpareBuffersOptions<B> {
  /** Most that is kept, in bytes. */
  readonly limitBytes: number;
  /** Called with each buffer that is not kept. */
  readonly drop?: (buffer: B) => void;
}

/**
 * Buffers that are kept for the next one who wants one of the same size, for as long as they are wanted: fresh ones
 * cost page faults, kept ones memory.
 */
export class SpareBuffers<B extends Uint8Array> {
  readonly #limit: number;
  readonly #drop: (buffer: B) => void;
  readonly #lists = new Map<number, SpareList<B>>();
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ limitBytes, drop = () => undefined }: SpareBuffersOptions<B>) {
    this.#limit = limitBytes;
    this.#drop = drop;
  }

  /** Those that are kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A buffer of exactly this size, if there is one. */
  take(bytes: number): B | undefined {
    const list = this.#lists.get(bytes);
    const buffer = list?.buffers.pop();
    if (list === undefined || buffer === undefined) return undefined;
    list.unused = Math.min(list.unused, list.buffers.length);
    this.#bytes -= bytes;
    return buffer;
  }

  give(buffer: B): void {
    if (this.#bytes + buffer.byteLength > this.#limit) {
      this.#drop(buffer);
      return;
    }
    const list = this.#lists.get(buffer.byteLength) ?? { buffers: [], unused: 0 };
    this.#lists.set(buffer.byteLength, list);
    list.buffers.push(buffer);
    this.#bytes += buffer.byteLength;
    this.#timer ??= setInterval(() => this.#dropUnused(), REST_MS).unref();
  }

  #dropUnused(): void {
    for (const [size, list] of this.#lists) {
      // The last one given is the first one taken, so these are the ones that nobody needed.
      for (const buffer of list.buffers.splice(0, list.unused)) {
        this.#bytes -= size;
        this.#drop(buffer);
      }
      list.unused = list.buffers.length;
      if (list.unused === 0) this.#lists.delete(size);
    }
    if (this.#lists.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

interface SpareList<B> {
  readonly buffers: B[];
  /** So many were there all the time since the last look. */
  unused: number;
}
