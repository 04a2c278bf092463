import { readFile } from 'node:fs/promises';

import type { Results } from './results.ts';

/** The server may take so much memory, in bytes. */
const MAX_RSS = 900 * 2 ** 20;
/** The event loop may be busy for so long, in milliseconds. */
const MAX_LATENCY = 10_000;
const INTERVAL_MS = 500;
const PAGE_BYTES = 4096;

export interface Vitals {
  readonly maxRss: number;
  /** Longest time until `/livez` has answered, in milliseconds. */
  readonly maxLatency: number;
}

/** Looks at the server while it is being fuzzed: that it lives, answers in time and does not grow. */
export class Watch {
  readonly #pid: number;
  readonly #opsUrl: string;
  readonly #results: Results;
  #maxRss = 0;
  #maxLatency = 0;
  #running: Promise<void> = Promise.resolve();
  #stop = false;

  constructor(server: { readonly pid: number; readonly opsUrl: string }, results: Results) {
    this.#pid = server.pid;
    this.#opsUrl = server.opsUrl;
    this.#results = results;
  }

  get vitals(): Vitals {
    return { maxRss: this.#maxRss, maxLatency: this.#maxLatency };
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<Vitals> {
    this.#stop = true;
    await this.#running;
    return this.vitals;
  }

  async #run(): Promise<void> {
    while (!this.#stop) {
      await this.#look();
      await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
    }
  }

  async #look(): Promise<void> {
    const started = performance.now();
    try {
      const answer = await fetch(`${this.#opsUrl}/livez`, { signal: AbortSignal.timeout(MAX_LATENCY) });
      await answer.text();
      if (answer.status !== 200) this.#results.failed(`/livez is ${answer.status}`);
      const [, resident] = (await readFile(`/proc/${this.#pid}/statm`, 'utf8')).split(' ');
      this.#maxRss = Math.max(this.#maxRss, Number(resident) * PAGE_BYTES);
    } catch (error) {
      this.#results.failed(`the server does not answer: ${String(error)}`);
    }
    this.#maxLatency = Math.max(this.#maxLatency, performance.now() - started);
    if (this.#maxRss > MAX_RSS) this.#results.failed(`the server takes ${this.#maxRss} bytes of memory`);
  }
}
