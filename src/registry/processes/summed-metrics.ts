import { lastingOf, type MetricSnapshot, sumOf } from './metric-sums.ts';

/** Snapshots of ended processes that are kept apart before they become one. */
const MAX_ENDED = 8;

/**
 * The metrics of several processes, living and ended. A process that does not answer counts with what it said last, so
 * a sum never goes back.
 */
export class SummedMetrics<P extends object> {
  /** What the living ones said last. */
  readonly #living = new Map<P, MetricSnapshot>();
  #ended: readonly MetricSnapshot[] = [];
  #merging: Promise<void> = Promise.resolve();

  /** Takes what a process has said; of one that has ended nothing counts any more. */
  heard(process: P, snapshot: MetricSnapshot): void {
    this.#living.set(process, snapshot);
  }

  /** A process has ended; what it said last stays in the sums. */
  ended(process: P): void {
    const last = this.#living.get(process);
    if (last === undefined) return;
    this.#living.delete(process);
    this.#ended = [...this.#ended, lastingOf(last)];
    if (this.#ended.length > MAX_ENDED) this.#merging = this.#merging.then(() => this.#merge());
  }

  /** @param own the metrics of this process */
  async render(own: MetricSnapshot): Promise<{ contentType: string; body: string }> {
    const sum = sumOf([own, ...this.#living.values(), ...this.#ended]);
    return { contentType: sum.contentType, body: await sum.metrics() };
  }

  /** However many processes end, little is kept of them. */
  async #merge(): Promise<void> {
    const { length } = this.#ended;
    const merged = await sumOf(this.#ended).getMetricsAsJSON();
    this.#ended = [merged, ...this.#ended.slice(length)];
  }
}
