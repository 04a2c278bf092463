interface Running {
  readonly result: Promise<void>;
  readonly abort: AbortController;
  waiters: number;
}

/** Work that several callers want at the same time is done once; it stops when all of them have gone. */
export class SharedWork {
  readonly #running = new Map<string, Running>();

  /**
   * Waits for the work of this key, and begins it when nobody does it yet.
   *
   * @throws what the work throws, or the reason of `signal`
   */
  async run(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    signal.throwIfAborted();
    const running = this.#running.get(key) ?? this.#begin(key, work);
    running.waiters++;
    try {
      await unlessAborted(running.result, signal);
    } finally {
      running.waiters--;
      if (running.waiters === 0) this.#stop(key, running);
    }
  }

  #begin(key: string, work: (signal: AbortSignal) => Promise<void>): Running {
    const abort = new AbortController();
    const running = { result: work(abort.signal), abort, waiters: 0 };
    this.#running.set(key, running);
    const end = (): void => this.#forget(key, running);
    running.result.then(end, end);
    return running;
  }

  #stop(key: string, running: Running): void {
    this.#forget(key, running);
    running.abort.abort();
  }

  #forget(key: string, running: Running): void {
    if (this.#running.get(key) === running) this.#running.delete(key);
  }
}

async function unlessAborted(result: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  try {
    await Promise.race([result, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
