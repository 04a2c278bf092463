/** Numbers that look random and are the same for the same seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 to below `limit`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d_2b_79_f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  /** One of the choices; undefined when there is none. */
  pick<T>(choices: readonly T[]): T | undefined {
    return choices[this.below(choices.length)];
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  bytes(size: number): Buffer {
    const bytes = Buffer.allocUnsafe(size);
    // One word at a time, and the rest is left to the seed of the next ones.
    for (let offset = 0; offset < size; offset++) {
      if (offset % 4 === 0) this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
      bytes[offset] = this.#state >>> (8 * (offset % 4));
    }
    return bytes;
  }

  /** Another sequence that follows from this one. */
  fork(): Random {
    return new Random(this.below(2 ** 32));
  }
}
