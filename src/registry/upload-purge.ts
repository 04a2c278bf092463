import type { Clock } from '../shared/clock.ts';
import { errorMessage } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import type { UploadService } from './distribution/upload-service.ts';

/** The first look comes within this time, or within one interval, at a moment of its own for every replica. */
const FIRST_WITHIN_MS = 30 * 60_000;

export interface UploadPurgeOptions {
  readonly uploads: Pick<UploadService, 'purge'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** From 0 to 1. */
  readonly random: () => number;
  /** Sessions that nobody used for so long are removed. */
  readonly maxAgeMs: number;
  /** Time between looks. */
  readonly intervalMs: number;
}

/** Removes abandoned upload sessions again and again, as long as the server runs. */
export class UploadPurge {
  readonly #options: UploadPurgeOptions;
  readonly #ended = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(options: UploadPurgeOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run(this.#ended.signal);
  }

  /** Waits until a purge that is under way has stopped. */
  async close(): Promise<void> {
    this.#ended.abort();
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, random, intervalMs } = this.#options;
    let delayMs = random() * Math.min(FIRST_WITHIN_MS, intervalMs);
    while (!signal.aborted) {
      await clock.sleep(delayMs, signal).catch(() => undefined);
      if (!signal.aborted) await this.#purge(signal);
      delayMs = intervalMs;
    }
  }

  /** A failure is no reason to stop: the next look may succeed. */
  async #purge(signal: AbortSignal): Promise<void> {
    const { uploads, clock, logger, maxAgeMs } = this.#options;
    try {
      const removed = await uploads.purge(new Date(clock.now().getTime() - maxAgeMs), { signal });
      if (removed > 0) logger.info({ removed }, 'abandoned uploads removed');
    } catch (error) {
      if (!signal.aborted)
        logger.warn({ error: errorMessage(error) }, 'abandoned uploads could not be removed');
    }
  }
}
