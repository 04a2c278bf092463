import type { Clock } from '../../shared/clock.ts';
import { errorMessage } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { isAlreadyExists, isConflict, NotLeaderError } from './errors.ts';
import { KINDS } from './kinds.ts';
import { microTime } from './micro-time.ts';
import type { KubeClient, KubeObject, ObjectKey } from './types.ts';

/** Milliseconds; the defaults are those of client-go. */
export interface LeaseTiming {
  /** How long others wait after the last renewal that they saw. */
  readonly leaseMs: number;
  /** How long a leader may go on without a renewal; below `leaseMs`, so that it stops before another starts. */
  readonly renewDeadlineMs: number;
  /** Time between two attempts to acquire or renew. */
  readonly retryMs: number;
}

export const LEASE_TIMING: LeaseTiming = { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2000 };

export interface LeaderElectionOptions {
  /** Must be neither fenced by this lease nor slowed down by other calls. */
  readonly client: KubeClient;
  readonly lease: { readonly namespace: string; readonly name: string };
  /** Unique for each process, such as `<pod>_<uuid>`. */
  readonly identity: string;
  readonly timing?: LeaseTiming;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
}

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

interface Lease extends KubeObject {
  readonly spec?: LeaseSpec;
}

/**
 * One leader among several processes, by compare-and-swap on a Lease object.
 *
 * Times of other machines are never compared with ours: a candidate measures on its own monotonic clock for how long
 * the Lease has not changed. A leader counts its time from before it sent the renewal, so it gives up before any
 * candidate can be certain that it is gone. Pauses that the monotonic clock does not see (a suspended machine) show
 * on the wall clock, which is looked at as well.
 */
export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #timing: LeaseTiming;
  /** The Lease as last seen, and when it was seen to change. */
  #observed: { readonly lease: Lease; readonly at: number } | undefined;
  /** Start of the last successful renewal, on both clocks; undefined when we do not lead. */
  #renewed: { readonly monotonic: number; readonly wall: number } | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#timing = options.timing ?? LEASE_TIMING;
  }

  /** Whether this process may write at this moment. */
  holds(): boolean {
    if (!this.#renewed) return false;
    const { clock } = this.#options;
    const limit = this.#timing.renewDeadlineMs;
    const wallMs = clock.now().getTime() - this.#renewed.wall;
    return clock.monotonic() - this.#renewed.monotonic < limit && wallMs < limit;
  }

  /** Called before each write. @throws NotLeaderError */
  readonly mustHold = (): void => {
    if (!this.holds()) throw new NotLeaderError();
  };

  /**
   * True when this process believes that it leads although its lease has run out: it hangs, and only a restart
   * helps.
   */
  isStale(): boolean {
    if (!this.#renewed) return false;
    return this.#options.clock.monotonic() - this.#renewed.monotonic > this.#timing.leaseMs;
  }

  /**
   * Waits until this process leads.
   *
   * @throws the reason of the signal when it is aborted
   */
  async acquire(signal: AbortSignal): Promise<void> {
    const { clock, logger, random } = this.#options;
    for (;;) {
      signal.throwIfAborted();
      try {
        if (await this.#tryAcquireOrRenew(signal)) return;
      } catch (error) {
        signal.throwIfAborted();
        logger.warn({ error: errorMessage(error) }, 'the lease could not be read or written');
      }
      // Jitter keeps candidates from asking in step.
      await clock.sleep(this.#timing.retryMs * (1 + 0.2 * random()), signal);
    }
  }

  /**
   * Renews the lease until the signal is aborted or the lease is lost; `holds()` is false by then in the latter
   * case. Never rejects.
   *
   * @returns why it ended
   */
  async keep(signal: AbortSignal): Promise<'aborted' | 'lost'> {
    const { clock, logger } = this.#options;
    while (!signal.aborted) {
      await clock.sleep(this.#timing.retryMs, signal).catch(() => undefined);
      if (signal.aborted) break;
      try {
        if (!(await this.#renewInTime(signal))) return this.#lost();
      } catch (error) {
        if (signal.aborted) break;
        logger.warn({ error: errorMessage(error) }, 'the lease could not be renewed');
      }
      if (this.#expired()) return this.#lost();
    }
    return 'aborted';
  }

  /** Gives the lease up, so that another process need not wait for its end. Nothing may be written any more. */
  async release(signal?: AbortSignal): Promise<void> {
    const { client, clock, logger } = this.#options;
    const held = this.holds() ? this.#observed?.lease : undefined;
    this.#renewed = undefined;
    if (!held) return;
    const now = microTime(clock.now());
    const spec = {
      ...held.spec,
      holderIdentity: '',
      leaseDurationSeconds: 1,
      renewTime: now,
      acquireTime: now,
    };
    try {
      await client.replace(KINDS.lease, { ...held, spec }, signal ? { signal } : {});
    } catch (error) {
      logger.warn({ error: errorMessage(error) }, 'the lease could not be released; it runs out by itself');
    }
  }

  #expired(): boolean {
    if (!this.#renewed) return true;
    return this.#options.clock.monotonic() - this.#renewed.monotonic >= this.#timing.renewDeadlineMs;
  }

  #lost(): 'lost' {
    this.#renewed = undefined;
    return 'lost';
  }

  /** One renewal that ends at the deadline, even if the API server does not answer. */
  async #renewInTime(signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#options;
    const left = (this.#renewed?.monotonic ?? 0) + this.#timing.renewDeadlineMs - clock.monotonic();
    const limit = new AbortController();
    const finished = new AbortController();
    const onAbort = (): void => limit.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const expire = async (): Promise<void> => {
      try {
        await clock.sleep(Math.max(0, left), finished.signal);
        limit.abort(new NotLeaderError());
      } catch {
        // Renewed in time.
      }
    };
    void expire();
    try {
      return await this.#tryAcquireOrRenew(limit.signal);
    } finally {
      finished.abort();
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** @returns whether we hold the lease now */
  async #tryAcquireOrRenew(signal: AbortSignal): Promise<boolean> {
    const { clock, client, identity } = this.#options;
    const start = { monotonic: clock.monotonic(), wall: clock.now().getTime() };
    const lease = await this.#currentLease(signal);
    if (lease && this.#heldByOther(lease)) {
      this.#renewed = undefined;
      return false;
    }
    try {
      const wanted = this.#wanted(lease);
      const written = lease
        ? await client.replace<Lease>(KINDS.lease, wanted, { signal })
        : await client.create<Lease>(KINDS.lease, wanted, { signal });
      if (written.spec?.holderIdentity !== identity) return false;
      this.#observed = { lease: written, at: clock.monotonic() };
      this.#renewed = start;
      return true;
    } catch (error) {
      if (!isConflict(error) && !isAlreadyExists(error)) throw error;
      // Somebody was faster; what they wrote is read by the next attempt.
      this.#observed = undefined;
      return this.#stillHeld(signal, error);
    }
  }

  /** After a conflict: a renewal whose answer was lost is ours all the same, and the next one goes through. */
  async #stillHeld(signal: AbortSignal, conflict: unknown): Promise<boolean> {
    if (!this.#renewed) return false;
    const lease = await this.#currentLease(signal);
    // Somebody has deleted the Lease: nobody else holds it, and the next attempt makes it anew.
    if (!lease) throw conflict;
    return lease?.spec?.holderIdentity === this.#options.identity;
  }

  async #currentLease(signal: AbortSignal): Promise<Lease | undefined> {
    const { client, clock, lease } = this.#options;
    // A leader writes what it wrote last: if anybody else wrote meanwhile, that is a conflict.
    if (this.#renewed && this.#observed) return this.#observed.lease;
    const key: ObjectKey = lease;
    const found = await client.get<Lease>(KINDS.lease, key, { signal });
    if (!found) {
      this.#observed = undefined;
      return undefined;
    }
    if (this.#observed?.lease.metadata.resourceVersion !== found.metadata.resourceVersion)
      this.#observed = { lease: found, at: clock.monotonic() };
    return found;
  }

  #heldByOther({ spec }: Lease): boolean {
    const holder = spec?.holderIdentity ?? '';
    if (holder === '' || holder === this.#options.identity) return false;
    const { clock } = this.#options;
    const durationMs = (spec?.leaseDurationSeconds ?? 0) * 1000;
    return clock.monotonic() - (this.#observed?.at ?? clock.monotonic()) < durationMs;
  }

  #wanted(lease: Lease | undefined): Lease {
    const { lease: key } = this.#options;
    const metadata = lease?.metadata ?? { name: key.name, namespace: key.namespace };
    const { apiVersion, kind } = KINDS.lease;
    return { apiVersion, kind, metadata, spec: this.#wantedSpec(lease?.spec) };
  }

  #wantedSpec(old: LeaseSpec | undefined): LeaseSpec {
    const { clock, identity } = this.#options;
    const now = microTime(clock.now());
    const renewed = {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(this.#timing.leaseMs / 1000),
      renewTime: now,
    };
    if (old?.holderIdentity === identity) return { ...old, ...renewed };
    const leaseTransitions = old ? (old.leaseTransitions ?? 0) + 1 : 0;
    return { ...renewed, acquireTime: now, leaseTransitions };
  }
}
