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
  readonly wait: Wait | undefined;

  constructor(wait?: Wait) {
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

/**
 * Lets a bounded number of requests run, and a bounded number of others wait, first come, first served.
 *
 * The limits are asked for at every step: new ones count from the next request on.
 */
export class Admission {
  readonly #limits: () => AdmissionLimits;
  readonly #clock: Pick<Clock, 'monotonic' | 'sleep'>;
  /** In the order of their arrival. */
  readonly #waiting = new Set<Turn>();
  #running = 0;

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
   * @throws NotAdmitted when the queue is full
   */
  enter(): Turn {
    const limits = this.#limits();
    // The limit may have been raised since somebody began to wait.
    if (this.#waiting.size > 0) this.#grant(limits);
    if (this.#waiting.size === 0 && this.#running < limits.maxRunning) {
      this.#running += 1;
      return new Turn();
    }
    if (this.#waiting.size >= limits.maxQueued) throw new NotAdmitted('full', this.#retryAfter());
    return this.#queue(limits.maxWaitSeconds);
  }

  /** Ends a turn, or the wait for it. Doing so again does nothing. */
  leave(turn: Turn): void {
    if (turn.state === 'waiting') this.#refuse(turn, 'left');
    if (turn.state !== 'running') return;
    turn.state = 'over';
    this.#running -= 1;
    if (this.#waiting.size > 0) this.#grant(this.#limits());
  }

  #queue(seconds: number): Turn {
    const timer = new AbortController();
    const ended = Promise.withResolvers<void>();
    const turn = new Turn({ since: this.#clock.monotonic(), timer, ended });
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
  #grant({ maxRunning }: AdmissionLimits): void {
    for (const turn of this.#waiting) {
      if (this.#running >= maxRunning) return;
      this.#running += 1;
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
