import type { Clock } from '../../shared/clock.ts';
import { AppError, errorMessage } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { WorkQueue } from '../kube/work-queue.ts';
import type { OperatorMetrics } from '../metrics.ts';
import type { ControllerDefinition } from './context.ts';
import { TerminalError } from './terminal-error.ts';

export interface ControllerOptions extends ControllerDefinition {
  readonly queue: WorkQueue;
  /** Reconciles that run at a time. */
  readonly workers: number;
  /** Milliseconds after which the signal of one reconcile is aborted. */
  readonly deadlineMs: number;
  /** True for errors that are no failure but a reason to look again, such as a conflict. */
  readonly isConflict: (error: unknown) => boolean;
  /** True for errors that will come again until somebody changes something: they are not tried again at once. */
  readonly isRefusal?: (error: unknown) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: OperatorMetrics;
}

/** The first retry of what was refused; the backoff goes on from there. */
const REFUSED_MS = 5000;

/** A reconcile took longer than it may. */
export class DeadlineError extends AppError {
  override readonly name = 'DeadlineError';

  constructor(ms: number) {
    super('RECONCILE_DEADLINE', `not finished within ${ms} ms`);
  }
}

/**
 * Drives the policy of a controller: takes keys from the queue, reconciles them with a deadline, and puts them back
 * as the outcome says.
 */
export class Controller {
  readonly #options: ControllerOptions;

  constructor(options: ControllerOptions) {
    this.#options = options;
  }

  /**
   * Works until the queue is shut down or the signal is aborted; resolves when the last reconcile has ended. Never
   * rejects.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { name, workers, metrics, queue } = this.#options;
    metrics.maxWorkers.set({ controller: name }, workers);
    metrics.activeWorkers.set({ controller: name }, 0);
    const stop = (): void => queue.shutDown();
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    await Promise.all(Array.from({ length: workers }, () => this.#work(signal)));
    signal.removeEventListener('abort', stop);
  }

  async #work(signal: AbortSignal): Promise<void> {
    const { queue, metrics, name } = this.#options;
    for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
      metrics.activeWorkers.inc({ controller: name });
      await this.#reconcile(key, signal);
      metrics.activeWorkers.dec({ controller: name });
      queue.done(key);
    }
  }

  async #reconcile(key: string, signal: AbortSignal): Promise<void> {
    const { queue, clock, metrics, name } = this.#options;
    const start = clock.monotonic();
    try {
      const { requeueAfterMs } = await this.#withDeadline(key, signal);
      queue.forget(key);
      if (requeueAfterMs !== undefined) queue.addAfter(key, requeueAfterMs);
      metrics.reconciles.inc({
        controller: name,
        result: requeueAfterMs === undefined ? 'success' : 'requeue_after',
      });
    } catch (error) {
      if (!signal.aborted) this.#failed(key, error);
    } finally {
      metrics.reconcileSeconds.observe({ controller: name }, (clock.monotonic() - start) / 1000);
    }
  }

  async #withDeadline(key: string, signal: AbortSignal): ReturnType<ControllerDefinition['reconcile']> {
    const { deadlineMs, clock } = this.#options;
    const finished = new AbortController();
    const limit = new AbortController();
    const onAbort = (): void => limit.abort(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    const expire = async (): Promise<void> => {
      try {
        await clock.sleep(deadlineMs, finished.signal);
        limit.abort(new DeadlineError(deadlineMs));
      } catch {
        // Finished in time.
      }
    };
    void expire();
    try {
      return await this.#options.reconcile(key, limit.signal);
    } finally {
      finished.abort();
      signal.removeEventListener('abort', onAbort);
    }
  }

  #failed(key: string, error: unknown): void {
    const { queue, logger, metrics, name, isConflict } = this.#options;
    const controller = { controller: name };
    if (isConflict(error)) {
      metrics.reconciles.inc({ ...controller, result: 'requeue' });
      logger.debug({ ...controller, key, error: errorMessage(error) }, 'reconcile met a conflict');
      queue.retry(key);
      return;
    }
    metrics.reconciles.inc({ ...controller, result: 'error' });
    metrics.reconcileErrors.inc(controller);
    if (error instanceof TerminalError) {
      metrics.terminalErrors.inc(controller);
      queue.forget(key);
      logger.error({ ...controller, key, err: error }, 'reconcile failed for good');
      return;
    }
    queue.retry(key, this.#options.isRefusal?.(error) === true ? REFUSED_MS : 0);
    const failures = queue.failures(key);
    logger.error({ ...controller, key, failures, err: error }, 'reconcile failed and is tried again');
  }
}
