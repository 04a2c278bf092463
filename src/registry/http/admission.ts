import type { Clock } from '../../shared/clock.ts';

/** How many may run and wait at once. */
export interface AdmissionLimits {
  readonly maxRunning: number;
  readonly maxQueued: number;
  readonly maxWaitSeconds: number;
}

/** `full`: no place in the queue; `late`: waited as long as allowed; `left`: gave up its place. */
export type NotAdmittedReason = 'full' | 'late' | 'left';

/** A request does not get its turn. */
export class NotAdmitted extends Error {
  override readonly name = 'NotAdmitted';
  readonly reason: NotAdmittedReason;
  /** Seconds after which another try makes sense: about as long as the queue takes now. */
  readonly retryAfter: number;

  constructor(reason: NotAdmittedReason, retryAfter: number) {
    super(`not admitted: ${reason}`);
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}

/** What a request that waits for its turn needs beside it. */
interface Wait {
  /** Milliseconds on the monotonic clock. */
  readonly since: number;
  readonly timer: AbortController;
  readonly ended: PromiseWithResolvers<void>;
}

/** A request on its way through {@link Admission}. */
export class Turn {
  state: 'running' | 'waiting' | 'over';
  readonly client: string;
  readonly wait: Wait | undefined;

  constructor(client: string, wait?: Wait) {
    this.client = client;
    this.state = wait ? 'waiting' : 'running';
    this.wait = wait;
  }

  /** Settles when the wait has ended, with {@link NotAdmitted} when in vain; undefined when there was none. */
  get admitted(): Promise<void> | undefined {
    return this.wait?.ended.promise;
  }
}

/** Nobody is asked to stay away for longer, in seconds. */
const MAX_RETRY_AFTER = 30;

/** One in so many turns is for clients that do not hold all the others. */
const RESERVE = 4;

/**
 * Lets a bounded number of requests run, and a bounded number of others wait, first come, first served. One client
 * alone never gets the last quarter of the turns: it waits, and others pass it, so that they go on whatever it does.
 *
 * The limits are asked for at every step: new ones count from the next request on.
 */
export class Admission {
  readonly #limits: () => AdmissionLimits;
  readonly #clock: Pick<Clock, 'monotonic' | 'sleep'>;
  /** In the order of their arrival. */
  readonly #waiting = new Set<Turn>();
  #running = 0;
  /** Turns of each client that has any. */
  readonly #clients = new Map<string, number>();

  constructor(limits: () => AdmissionLimits, clock: Pick<Clock, 'monotonic' | 'sleep'>) {
    this.#limits = limits;
    this.#clock = clock;
  }

  get running(): number {
    return this.#running;
  }

  get queued(): number {
    return this.#waiting.size;
  }

  /**
   * Asks for a turn. The caller ends it with {@link leave}, whatever has become of it.
   *
   * @param client whose turns count together
   * @throws NotAdmitted when the queue is full
   */
  enter(client: string): Turn {
    const limits = this.#limits();
    // The limit may have been raised since somebody began to wait.
    if (this.#waiting.size > 0) this.#grant(limits);
    if (this.#hasTurnFor(client, limits)) {
      this.#count(client, 1);
      return new Turn(client);
    }
    if (this.#waiting.size >= limits.maxQueued) throw new NotAdmitted('full', this.#retryAfter());
    return this.#queue(client, limits.maxWaitSeconds);
  }

  /** Ends a turn, or the wait for it. Doing so again does nothing. */
  leave(turn: Turn): void {
    if (turn.state === 'waiting') this.#refuse(turn, 'left');
    if (turn.state !== 'running') return;
    turn.state = 'over';
    this.#count(turn.client, -1);
    if (this.#waiting.size > 0) this.#grant(this.#limits());
  }

  #hasTurnFor(client: string, { maxRunning }: AdmissionLimits): boolean {
    const share = maxRunning - Math.floor(maxRunning / RESERVE);
    return this.#running < maxRunning && (this.#clients.get(client) ?? 0) < share;
  }

  #count(client: string, change: 1 | -1): void {
    this.#running += change;
    const turns = (this.#clients.get(client) ?? 0) + change;
    if (turns === 0) this.#clients.delete(client);
    else this.#clients.set(client, turns);
  }

  #queue(client: string, seconds: number): Turn {
    const timer = new AbortController();
    const ended = Promise.withResolvers<void>();
    const turn = new Turn(client, { since: this.#clock.monotonic(), timer, ended });
    this.#waiting.add(turn);
    // Nobody may be there any more to hear of it.
    ended.promise.catch(() => undefined);
    this.#clock.sleep(seconds * 1000, timer.signal).then(
      () => this.#refuse(turn, 'late'),
      () => undefined,
    );
    return turn;
  }

  /** The state changes here, not when the promise is looked at: the client may leave between the two. */
  #grant(limits: AdmissionLimits): void {
    for (const turn of this.#waiting) {
      if (this.#running >= limits.maxRunning) return;
      if (!this.#hasTurnFor(turn.client, limits)) continue;
      this.#count(turn.client, 1);
      this.#waiting.delete(turn);
      turn.state = 'running';
      turn.wait?.timer.abort();
      turn.wait?.ended.resolve();
    }
  }

  #refuse(turn: Turn, reason: NotAdmittedReason): void {
    if (turn.state !== 'waiting') return;
    const retryAfter = this.#retryAfter();
    this.#waiting.delete(turn);
    turn.state = 'over';
    turn.wait?.timer.abort();
    turn.wait?.ended.reject(new NotAdmitted(reason, retryAfter));
  }

  /** Who stands at the front has waited for about as long as a new one would. */
  #retryAfter(): number {
    const [first] = this.#waiting;
    const waited = first?.wait ? this.#clock.monotonic() - first.wait.since : 0;
    return Math.min(MAX_RETRY_AFTER, Math.max(1, Math.ceil(waited / 1000)));
  }
}
