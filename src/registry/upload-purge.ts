import type { Clock } from '../shared/clock.ts';
import { errorMessage } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import type { UploadService } from './distribution/upload-service.ts';

/** A session that nobody has used for a week is given up; no client comes back that late. */
const MAX_AGE_MS = 7 * 24 * 60 * 60_000;
const INTERVAL_MS = 6 * 60 * 60_000;
/** The first look comes within this time, at a moment of its own for every replica. */
const FIRST_WITHIN_MS = 30 * 60_000;

export interface UploadPurgeOptions {
  readonly uploads: Pick<UploadService, 'purge'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** From 0 to 1. */
  readonly random: () => number;
}

/** Removes abandoned upload sessions every few hours, as long as the server runs. */
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
    const { clock, random } = this.#options;
    let delayMs = random() * FIRST_WITHIN_MS;
    while (!signal.aborted) {
      await clock.sleep(delayMs, signal).catch(() => undefined);
      if (!signal.aborted) await this.#purge(signal);
      delayMs = INTERVAL_MS;
    }
  }

  /** A failure is no reason to stop: the next look may succeed. */
  async #purge(signal: AbortSignal): Promise<void> {
    const { uploads, clock, logger } = this.#options;
    try {
      const removed = await uploads.purge(new Date(clock.now().getTime() - MAX_AGE_MS), { signal });
      if (removed > 0) logger.info({ removed }, 'abandoned uploads removed');
    } catch (error) {
      if (!signal.aborted)
        logger.warn({ error: errorMessage(error) }, 'abandoned uploads could not be removed');
    }
  }
}
