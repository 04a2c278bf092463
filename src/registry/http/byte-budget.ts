/**
 * How many bytes may be held at once for one purpose. Who does not get them is told so at once and does without: one
 * that waited would hold what others wait for.
 */
export class ByteBudget {
  readonly limitBytes: number;
  #usedBytes = 0;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** Bytes that are held. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** A part of the budget, of nothing yet. */
  lease(): ByteLease {
    return new ByteLease((held, wanted) => this.#exchange(held, wanted));
  }

  /** One that is larger than the budget gets it when it is the only one. */
  #exchange(held: number, wanted: number): boolean {
    const others = this.#usedBytes - held;
    if (wanted > held && others > 0 && others + wanted > this.limitBytes) return false;
    this.#usedBytes = others + wanted;
    return true;
  }
}

/** What one holder has of a {@link ByteBudget}. */
export class ByteLease {
  readonly #exchange: (held: number, wanted: number) => boolean;
  #held = 0;

  constructor(exchange: (held: number, wanted: number) => boolean) {
    this.#exchange = exchange;
  }

  /** Makes it so many bytes. @returns false when there is no room for them, which changes nothing */
  resize(bytes: number): boolean {
    if (!this.#exchange(this.#held, bytes)) return false;
    this.#held = bytes;
    return true;
  }

  /** Gives everything back. Doing so again does nothing. */
  release(): void {
    this.resize(0);
  }
}
