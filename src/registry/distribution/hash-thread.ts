import { Worker } from 'node:worker_threads';

import type { HashReply, HashRequest } from './hash-messages.ts';

interface PendingReply {
  resolve(reply: HashReply): void;
  reject(error: Error): void;
}

/** One hash thread. It keeps the process alive only while a reply is due. */
export class HashThread {
  readonly #worker: Worker;
  readonly #onEnd: () => void;
  /** The thread answers in order. */
  readonly #pending: PendingReply[] = [];
  readonly #streams = new Set<number>();
  #failure: Error | undefined;
  #asked = false;

  /** @param onEnd called once, when the thread cannot be used any more */
  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
    this.#worker = new Worker(workerUrl(), { name: 'hash' });
    this.#worker.unref();
    this.#worker.on('message', (reply: HashReply) => this.#receive(reply));
    this.#worker.on('error', (error) => this.#fail(asError(error)));
    this.#worker.on('exit', () => this.#fail(new Error('the hash thread ended')));
  }

  /** Streams that the thread works on. */
  get streams(): number {
    return this.#streams.size;
  }

  /** @returns whether there was anything to do since the last look */
  lookForUse(): boolean {
    const used = this.#asked || this.#streams.size + this.#pending.length > 0;
    this.#asked = false;
    return used;
  }

  /** @throws the failure of the thread, also while the reply is due */
  async ask(request: Exclude<HashRequest, { kind: 'drop' }>): Promise<HashReply> {
    if (this.#failure !== undefined) throw this.#failure;
    this.#asked = true;
    const { promise, resolve, reject } = Promise.withResolvers<HashReply>();
    if (request.kind === 'update') this.#streams.add(request.stream);
    else this.#streams.delete(request.stream);
    this.#pending.push({ resolve, reject });
    if (this.#pending.length === 1) this.#worker.ref();
    this.#worker.postMessage(request, []);
    return promise;
  }

  /** Forgets a stream; harmless when it has finished. */
  drop(stream: number): void {
    if (!this.#streams.delete(stream) || this.#failure !== undefined) return;
    this.#worker.postMessage({ kind: 'drop', stream } satisfies HashRequest, []);
  }

  async close(): Promise<void> {
    this.#fail(new Error('the hash threads are closed'));
    await this.#worker.terminate();
  }

  #receive(reply: HashReply): void {
    this.#pending.shift()?.resolve(reply);
    if (this.#pending.length === 0) this.#worker.unref();
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#onEnd();
    for (const pending of this.#pending.splice(0)) pending.reject(error);
  }
}

/** The worker's file: beside the sources, or beside the bundle. */
function workerUrl(): URL {
  return import.meta.url.endsWith('.ts')
    ? new URL('../hash-worker.ts', import.meta.url)
    : new URL('./hash-worker.js', import.meta.url);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
