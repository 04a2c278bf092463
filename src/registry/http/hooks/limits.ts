import type { LimitsConfig } from '../../../api/registry-config.ts';
import type { Clock } from '../../../shared/clock.ts';
import type { RegistryMetrics } from '../../metrics.ts';
import { Admission, NotAdmitted, type AdmissionLimits, type Turn } from '../admission.ts';
import { ClientLimits } from '../client-limits.ts';
import { ClientGone, type Exchange } from '../exchange.ts';
import { unavailable } from '../refusal.ts';

export interface RequestLimitsOptions {
  /** The limits as they are now. */
  readonly limits: () => LimitsConfig;
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>;
  readonly metrics: Pick<RegistryMetrics, 'requestsQueued'>;
}

type Kind = 'read' | 'write';

/**
 * Lets requests run, wait, or be refused: when they were found to be allowed and before their bodies are read, so that
 * who may do nothing here takes no place from those who may. `GET /v2/`, by which clients look whether they are let in,
 * is never limited.
 */
export class RequestLimits {
  readonly #options: RequestLimitsOptions;
  readonly #clients = new ClientLimits();
  readonly #admissions: Readonly<Record<Kind, Admission>>;

  constructor(options: RequestLimitsOptions) {
    const { limits, clock } = options;
    this.#options = options;
    this.#admissions = {
      read: new Admission(() => limits().read, clock),
      write: new Admission(() => limits().write, clock),
    };
  }

  /**
   * Gives a request its turn, which ends with its answer or its connection.
   *
   * @returns undefined when it may run at once
   * @throws DistributionError TOOMANYREQUESTS 429 or UNAVAILABLE 503, both with `Retry-After`, and ClientGone; the
   *   promise rejects with the last two
   */
  admit(exchange: Exchange): Promise<void> | undefined {
    if (exchange.match?.action === 'ping') return undefined;
    // Nothing would end its turn.
    if (exchange.clientGone) throw new ClientGone();
    const { limits, clock } = this.#options;
    this.#clients.admit(exchange, limits().perClient, clock.monotonic());
    const kind = exchange.method === 'GET' || exchange.method === 'HEAD' ? 'read' : 'write';
    const admission = this.#admissions[kind];
    const turn = this.#enter(exchange, kind);
    exchange.response.once('close', () => admission.leave(turn));
    return turn.admitted && this.#wait(exchange, kind, turn.admitted);
  }

  #enter(exchange: Exchange, kind: Kind): Turn {
    try {
      return this.#admissions[kind].enter(exchange.clientKey);
    } catch (error) {
      throw this.#refusal(exchange, kind, error);
    }
  }

  async #wait(exchange: Exchange, kind: Kind, admitted: Promise<void>): Promise<void> {
    const { metrics } = this.#options;
    metrics.requestsQueued(kind, 1);
    try {
      await admitted;
    } catch (error) {
      throw this.#refusal(exchange, kind, error);
    } finally {
      metrics.requestsQueued(kind, -1);
    }
  }

  #refusal(exchange: Exchange, kind: Kind, error: unknown): unknown {
    if (!(error instanceof NotAdmitted)) return error;
    const { reason, retryAfter } = error;
    if (reason === 'left') return new ClientGone();
    const limits = this.#options.limits()[kind];
    const refusal = reason === 'full' ? 'queue_full' : 'queue_timeout';
    return unavailable(exchange, { refusal, message: MESSAGES[reason](kind, limits), retryAfter });
  }
}

const MESSAGES = {
  full: (kind: Kind, { maxRunning, maxQueued }: AdmissionLimits) =>
    `${maxRunning} requests to ${kind} run and ${maxQueued} wait (limits.${kind})`,
  late: (kind: Kind, { maxWaitSeconds }: AdmissionLimits) =>
    `no turn to ${kind} within ${maxWaitSeconds} s (limits.${kind}.maxWaitSeconds)`,
};
