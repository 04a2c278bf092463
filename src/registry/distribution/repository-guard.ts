import type { ManifestService } from './manifest-service.ts';
import type { RepositoryName } from './names.ts';

interface Gate {
  /** Pushes that go on. */
  pushing: number;
  /** Set while a removal waits or runs; resolves at its end. */
  removal: Promise<void> | undefined;
  /** Tells the waiting removal that the last push has ended. */
  idle: (() => void) | undefined;
}

/**
 * Keeps a push of a manifest and the end of a deletion of its repository apart, within this process. A push
 * looks for the content that the manifest names and links the manifest then: in between, the content must not go.
 */
export class RepositoryGuard {
  readonly #gates = new Map<string, Gate>();

  /** Any number of pushes run at a time; none while the repository is being removed. */
  async push<T>(name: RepositoryName, work: () => Promise<T>): Promise<T> {
    let gate = this.#gate(name);
    while (gate.removal !== undefined) {
      await gate.removal;
      gate = this.#gate(name);
    }
    gate.pushing++;
    try {
      return await work();
    } finally {
      gate.pushing--;
      if (gate.pushing === 0) gate.idle?.();
      this.#drop(name, gate);
    }
  }

  /** Waits for the pushes that run, and lets later ones wait. */
  async remove<T>(name: RepositoryName, work: () => Promise<T>): Promise<T> {
    let gate = this.#gate(name);
    while (gate.removal !== undefined) {
      await gate.removal;
      gate = this.#gate(name);
    }
    const ended = Promise.withResolvers<void>();
    gate.removal = ended.promise;
    try {
      await this.#untilIdle(gate);
      return await work();
    } finally {
      gate.removal = undefined;
      this.#drop(name, gate);
      ended.resolve();
    }
  }

  async #untilIdle(gate: Gate): Promise<void> {
    if (gate.pushing === 0) return;
    const idle = Promise.withResolvers<void>();
    gate.idle = idle.resolve;
    await idle.promise;
    gate.idle = undefined;
  }

  #gate(name: RepositoryName): Gate {
    let gate = this.#gates.get(name);
    if (gate === undefined) {
      gate = { pushing: 0, removal: undefined, idle: undefined };
      this.#gates.set(name, gate);
    }
    return gate;
  }

  #drop(name: RepositoryName, gate: Gate): void {
    if (gate.pushing === 0 && gate.removal === undefined) this.#gates.delete(name);
  }
}

/** Manifests that are pushed through the guard. */
export function guarded(
  manifests: ManifestService,
  guard: RepositoryGuard,
): Pick<ManifestService, 'get' | 'stat' | 'put' | 'delete'> {
  return {
    get: (...parameters) => manifests.get(...parameters),
    stat: (...parameters) => manifests.stat(...parameters),
    put: (name, ...rest) => guard.push(name, () => manifests.put(name, ...rest)),
    delete: (...parameters) => manifests.delete(...parameters),
  };
}
