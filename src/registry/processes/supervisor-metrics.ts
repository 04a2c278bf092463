import { Counter, Gauge, Registry } from 'prom-client';

import { registerProcessMetrics } from '../../shared/process-metrics.ts';
import { PROCESS_ENDS, PROCESSES } from '../metrics.ts';
import type { MetricSnapshot } from './metric-sums.ts';

/** What the supervisor itself has to tell. */
export class SupervisorMetrics {
  readonly #register = new Registry();
  readonly #ends = new Counter({
    name: PROCESS_ENDS.name,
    help: PROCESS_ENDS.help,
    registers: [this.#register],
  });

  /** @param serving how many processes serve now */
  constructor(serving: () => number) {
    const processes: Gauge = new Gauge({
      name: PROCESSES.name,
      help: PROCESSES.help,
      registers: [this.#register],
      collect: () => processes.set(serving()),
    });
    registerProcessMetrics(this.#register);
  }

  /** A process that was not to end has ended. */
  processLost(): void {
    this.#ends.inc();
  }

  snapshot(): Promise<MetricSnapshot> {
    return this.#register.getMetricsAsJSON();
  }
}
