import type { WriteSession } from '../storage/driver.ts';

/** One request that works on an upload session right now. */
export interface ActiveUpload {
  /** Only looks at the session, and ends by itself in a moment. */
  readonly inspecting: boolean;
  /** Makes the request give up. */
  readonly controller: AbortController;
  /** Aborted when the request gives up, because its client has left or somebody else wants the session to end. */
  readonly signal: AbortSignal;
  /** Resolves when `session` is set, or never will be. */
  readonly opened: Promise<void>;
  /** Resolves when the request has left the session. */
  readonly done: Promise<void>;
  session: WriteSession | undefined;
}

/** The holder's own side of a lock. */
export interface UploadLock {
  readonly active: ActiveUpload;
  opened(session: WriteSession | undefined): void;
  release(): void;
}

/**
 * Keeps the requests of this process from working on one upload session at the same time. Other processes are
 * kept away by the storage.
 */
export class UploadLocks {
  readonly #active = new Map<string, ActiveUpload>();

  /**
   * The request that writes to the session; waits for those that only look at it, that found none, or that give up:
   * a client whose connection broke comes back at once.
   */
  async writer(key: string): Promise<(ActiveUpload & { readonly session: WriteSession }) | undefined> {
    for (;;) {
      const active = this.#active.get(key);
      if (active === undefined) return undefined;
      await active.opened;
      if (!active.inspecting && !active.signal.aborted && hasSession(active)) return active;
      await active.done;
    }
  }

  /** Whoever holds the session. */
  holder(key: string): ActiveUpload | undefined {
    return this.#active.get(key);
  }

  /** @param client aborted when the client has left @returns undefined when the session is held */
  acquire(key: string, inspecting: boolean, client?: AbortSignal): UploadLock | undefined {
    if (this.#active.has(key)) return undefined;
    const opened = Promise.withResolvers<void>();
    const done = Promise.withResolvers<void>();
    const controller = new AbortController();
    const active: ActiveUpload = {
      inspecting,
      controller,
      signal: client === undefined ? controller.signal : AbortSignal.any([client, controller.signal]),
      opened: opened.promise,
      done: done.promise,
      session: undefined,
    };
    this.#active.set(key, active);
    return {
      active,
      opened: (session) => {
        active.session = session;
        opened.resolve();
      },
      release: () => {
        this.#active.delete(key);
        opened.resolve();
        done.resolve();
      },
    };
  }

  all(): readonly ActiveUpload[] {
    return [...this.#active.values()];
  }
}

function hasSession(active: ActiveUpload): active is ActiveUpload & { readonly session: WriteSession } {
  return active.session !== undefined;
}
