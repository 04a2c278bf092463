import type { Clock } from '../shared/clock.ts';
import { errorMessage } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import type { CatalogService } from './distribution/catalog-service.ts';
import type { IndexAction, IndexName, IndexRepair } from './distribution/index-repair.ts';

const HOUR_MS = 60 * 60_000;
/** Between two passes of a process, give or take a tenth. */
const INTERVAL_MS = 24 * HOUR_MS;
/** What another replica has compared within this time is not compared again. */
const RECENT_MS = 12 * HOUR_MS;
/** After a failure, twice as long after each further one. */
const FIRST_RETRY_MS = 15 * 60_000;

/** What a pass amended. */
export class RepairCounts {
  readonly #counts = new Map<string, number>();

  add(index: IndexName, action: IndexAction): void {
    const key = `${index} ${action}`;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  /** The counts since the last call. */
  take(): Record<string, number> {
    const counts = Object.fromEntries(this.#counts);
    this.#counts.clear();
    return counts;
  }
}

export interface IndexPassOptions {
  readonly repair: Pick<IndexRepair, 'compareCatalog' | 'compareContent' | 'lastComplete' | 'markComplete'>;
  /** What `repair` tells of its amendments. */
  readonly counts: RepairCounts;
  readonly catalog: Pick<CatalogService, 'useIndex'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** From 0 to 1. */
  readonly random: () => number;
}

/**
 * Compares the indexes with the content in the background: the catalog at every start, because another server
 * may have written meanwhile, everything once a day by one of the replicas.
 */
export class IndexPass {
  readonly #options: IndexPassOptions;
  readonly #ended = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #isCatalogCompared = false;
  #failures = 0;

  constructor(options: IndexPassOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run(this.#ended.signal);
  }

  /** Waits until a pass that is under way has stopped, which is at its next request. */
  async close(): Promise<void> {
    this.#ended.abort();
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      await this.#attempt(signal);
      await clock.sleep(this.#delayMs(), signal).catch(() => undefined);
    }
  }

  #delayMs(): number {
    const jitter = 0.9 + 0.2 * this.#options.random();
    if (this.#failures === 0) return INTERVAL_MS * jitter;
    return Math.min(FIRST_RETRY_MS * 2 ** (this.#failures - 1), INTERVAL_MS) * jitter;
  }

  /** A failure is no reason to stop: everything is served without the indexes, and a later pass may succeed. */
  async #attempt(signal: AbortSignal): Promise<void> {
    const { counts, logger } = this.#options;
    try {
      await this.#pass(signal);
      this.#failures = 0;
      const repairs = counts.take();
      const level = Object.keys(repairs).length > 0 ? 'info' : 'debug';
      logger[level]({ repairs }, 'indexes compared with the content');
    } catch (error) {
      if (signal.aborted) return;
      this.#failures++;
      const fields = { error: errorMessage(error), repairs: counts.take() };
      logger.warn(fields, 'the indexes could not be compared with the content');
    }
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const { repair, catalog, clock } = this.#options;
    const recent = await this.#isRecent(signal);
    if (!recent || !this.#isCatalogCompared) {
      await repair.compareCatalog({ signal });
      this.#isCatalogCompared = true;
      catalog.useIndex();
    }
    if (recent) return;
    await repair.compareContent({ signal });
    await repair.markComplete(clock.now(), { signal });
  }

  /** A time to come was told by a wrong clock. */
  async #isRecent(signal: AbortSignal): Promise<boolean> {
    const last = await this.#options.repair.lastComplete({ signal });
    const ageMs = this.#options.clock.now().getTime() - (last?.getTime() ?? 0);
    return ageMs >= 0 && ageMs < RECENT_MS;
  }
}
