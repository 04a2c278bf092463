/** A check of credentials for everybody who has sent the same ones; given up when all of them have left. */
export class PendingCheck {
  readonly #abort = new AbortController();
  readonly #outcome: Promise<boolean>;
  readonly #onOver: () => void;
  #waiting = 0;

  /**
   * @param run checks them, unless the signal is aborted before that has begun
   * @param onOver nobody may join any more; called more than once
   */
  constructor(run: (signal: AbortSignal) => Promise<boolean>, onOver: () => void) {
    this.#onOver = onOver;
    this.#outcome = run(this.#abort.signal).finally(onOver);
  }

  /** @throws the reason of the signal, and what the check fails with */
  async outcomeFor(signal: AbortSignal): Promise<boolean> {
    this.#waiting += 1;
    const left = Promise.withResolvers<never>();
    const leave = (): void => {
      left.reject(signal.reason);
      this.#waiting -= 1;
      if (this.#waiting > 0) return;
      this.#onOver();
      this.#abort.abort(signal.reason);
    };
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
    try {
      return await Promise.race([this.#outcome, left.promise]);
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }
}
