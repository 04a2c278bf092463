import type { LimitsConfig } from '../../api/registry-config.ts';
import type { Exchange } from './exchange.ts';
import { tooManyRequests } from './refusal.ts';
import { RequestRates } from './request-rates.ts';

export type PerClientLimits = LimitsConfig['perClient'];

/** What one client may take at once and in the long run, so that others go on. */
export class ClientLimits {
  readonly #rates = new RequestRates();
  /** Requests of each client that run or wait. */
  readonly #running = new Map<string, number>();

  /** Clients with requests that run or wait. */
  get active(): number {
    return this.#running.size;
  }

  /**
   * Counts a request of a client, until its answer or its connection ends.
   *
   * @param now milliseconds on the monotonic clock
   * @throws DistributionError TOOMANYREQUESTS
   */
  admit(exchange: Exchange, limits: PerClientLimits, now: number): void {
    const { maxRunning, requestsPerSecond } = limits;
    if (maxRunning === undefined && requestsPerSecond === undefined) return;
    const client = exchange.clientKey;
    if (requestsPerSecond !== undefined) {
      const wait = this.#rates.take(client, { perSecond: requestsPerSecond, burst: limits.burst }, now);
      if (wait > 0) throw tooFast(exchange, requestsPerSecond, wait);
    }
    if (maxRunning !== undefined) this.#count(exchange, client, maxRunning);
  }

  #count(exchange: Exchange, client: string, maxRunning: number): void {
    const running = this.#running.get(client) ?? 0;
    if (running >= maxRunning) throw tooManyAtOnce(exchange, maxRunning);
    this.#running.set(client, running + 1);
    exchange.response.once('close', () => {
      const left = (this.#running.get(client) ?? 1) - 1;
      if (left === 0) this.#running.delete(client);
      else this.#running.set(client, left);
    });
  }
}

function tooFast(exchange: Exchange, perSecond: number, retryAfter: number): Error {
  return tooManyRequests(exchange, {
    refusal: 'client_rate',
    message: `a client may make ${perSecond} requests per second (limits.perClient.requestsPerSecond)`,
    retryAfter,
  });
}

function tooManyAtOnce(exchange: Exchange, maxRunning: number): Error {
  return tooManyRequests(exchange, {
    refusal: 'client_running',
    message: `a client may make ${maxRunning} requests at once (limits.perClient.maxRunning)`,
    retryAfter: 1,
  });
}
