import type { Clock } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';
import type { Order } from './messages.ts';
import type { News, ServingProcess } from './serving-process.ts';

/** Delay before the n-th start in a row of a process that ended early, in milliseconds. */
const RESTART_DELAYS = [250, 500, 1000, 2000, 5000] as const;
/** A process that has served for so long was healthy: its next end counts as the first. */
const HEALTHY_AFTER_MS = 10_000;

/** A process could not serve; the message is its own. */
class ProcessFailed extends AppError {
  override readonly name = 'ProcessFailed';

  constructor(message: string) {
    super('PROCESS_FAILED', message);
  }
}

/** What a group needs of a process. */
export type GroupMember = Pick<ServingProcess, 'number' | 'pid' | 'ended' | 'tell' | 'kill'>;

export interface ProcessGroupOptions<M extends GroupMember> {
  readonly count: number;
  readonly clock: Clock;
  /** Starts a process. */
  launch(number: number, news: (notice: News) => void): M;
  /** The orders with which a process begins. */
  order(number: number): Order;
  /** What a process said that is not about its start. */
  news(member: M, notice: News): void;
  /** A process has ended, whether it was to or not. */
  ended(member: M): void;
  /** A process has ended that was not to; another one takes its place after `delayMs`. */
  lost(loss: {
    readonly number: number;
    readonly pid: number | undefined;
    readonly reason: string;
    readonly delayMs: number;
  }): void;
}

interface Slot<M> {
  readonly number: number;
  member: M | undefined;
  isServing: boolean;
  servingSince: number;
  /** Ends in a row that came early. */
  failures: number;
}

/** Keeps a number of processes running: one that ends is replaced, later and later when it does so again and again. */
export class ProcessGroup<M extends GroupMember> {
  readonly #options: ProcessGroupOptions<M>;
  readonly #slots: readonly Slot<M>[];
  readonly #stopping = new AbortController();
  /** Rejects when a process ends before all have begun to serve. */
  readonly #firstStart = Promise.withResolvers<never>();
  #isStarted = false;
  readonly #ends = new Set<Promise<void>>();

  constructor(options: ProcessGroupOptions<M>) {
    this.#options = options;
    this.#slots = Array.from({ length: options.count }, (_, index) => ({
      number: index + 1,
      member: undefined,
      isServing: false,
      servingSince: 0,
      failures: 0,
    }));
  }

  /** The processes in the order of their numbers; undefined for those that do not serve (yet). */
  get serving(): readonly (M | undefined)[] {
    return this.#slots.map(({ member, isServing }) => (isServing ? member : undefined));
  }

  /** Every process that runs. */
  get running(): readonly M[] {
    return this.#slots.flatMap(({ member }) => member ?? []);
  }

  /**
   * Starts all, and waits until they serve.
   *
   * @returns where they serve
   * @throws ProcessFailed when one of them cannot; then all have ended
   */
  async start(): Promise<string> {
    const all = Promise.all(this.#slots.map((slot) => this.#launch(slot)));
    try {
      const [url = ''] = await Promise.race([all, this.#firstStart.promise]);
      this.#isStarted = true;
      return url;
    } catch (error) {
      await this.stop('cannot start', 0);
      throw error;
    }
  }

  /** Lets all come to their ends, and ends by force what has not after `graceMs`. */
  async stop(reason: string, graceMs: number): Promise<void> {
    this.#stopping.abort();
    for (const member of this.running) member.tell({ type: 'stop', reason });
    const force = setTimeout(() => {
      for (const member of this.running) member.kill();
    }, graceMs);
    await Promise.all(this.#ends);
    clearTimeout(force);
  }

  /** Resolves with the address when the process serves, and never when it ends before. */
  #launch(slot: Slot<M>): Promise<string> {
    const options = this.#options;
    const serving = Promise.withResolvers<string>();
    let failure: string | undefined;
    const member = options.launch(slot.number, (notice) => {
      if (notice.type === 'hello') member.tell(options.order(slot.number));
      else if (notice.type === 'failed') failure = notice.message;
      else if (notice.type !== 'listening') options.news(member, notice);
      else {
        slot.isServing = true;
        slot.servingSince = options.clock.monotonic();
        serving.resolve(notice.url);
      }
    });
    slot.member = member;
    const end = member.ended.then((reason) => this.#ended(slot, member, failure ?? reason));
    this.#ends.add(end);
    void end.finally(() => this.#ends.delete(end));
    return serving.promise;
  }

  #ended(slot: Slot<M>, member: M, reason: string): void {
    const options = this.#options;
    const isHealthy = slot.isServing && options.clock.monotonic() - slot.servingSince >= HEALTHY_AFTER_MS;
    slot.member = undefined;
    slot.isServing = false;
    options.ended(member);
    if (this.#stopping.signal.aborted) return;
    if (!this.#isStarted) return this.#firstStart.reject(new ProcessFailed(reason));
    const delayMs = RESTART_DELAYS[isHealthy ? 0 : Math.min(slot.failures, RESTART_DELAYS.length - 1)] ?? 0;
    slot.failures = isHealthy ? 1 : slot.failures + 1;
    options.lost({ number: slot.number, pid: member.pid, reason, delayMs });
    void this.#replace(slot, delayMs);
  }

  async #replace(slot: Slot<M>, delayMs: number): Promise<void> {
    const { signal } = this.#stopping;
    await this.#options.clock.sleep(delayMs, signal).catch(() => undefined);
    if (!signal.aborted) void this.#launch(slot);
  }
}
