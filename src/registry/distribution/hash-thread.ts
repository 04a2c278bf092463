import { Worker } from 'node:worker_threads';

import type { HashReply, HashRequest } from './hash-messages.ts';

/** What one stream gets from its thread. */
export interface HashListener {
  onReply(reply: HashReply): void;
  onFailure(error: Error): void;
}

/** What the pool gets from a thread. */
export interface HashThreadEvents {
  /** A buffer has been hashed, whether its stream still exists or not. */
  onBuffer(buffer: ArrayBuffer): void;
  /** Called once: the thread cannot be used any more, and its buffers are gone. */
  onEnd(lostBytes: number): void;
}

/** One hash thread. It keeps the process alive only while a reply is due. */
export class HashThread {
  readonly #events: HashThreadEvents;
  readonly #worker: Worker;
  readonly #listeners = new Map<number, HashListener>();
  #repliesDue = 0;
  #bytesDue = 0;
  #failure: Error | undefined;

  constructor(events: HashThreadEvents) {
    this.#events = events;
    this.#worker = new Worker(workerUrl(), { name: 'hash' });
    this.#worker.unref();
    this.#worker.on('message', (reply: HashReply) => this.#receive(reply));
    this.#worker.on('error', (error) => this.#fail(asError(error)));
    this.#worker.on('exit', () => this.#fail(new Error('the hash thread ended')));
  }

  /** Streams that the thread works on. */
  get streams(): number {
    return this.#listeners.size;
  }

  join(stream: number, listener: HashListener): void {
    this.#listeners.set(stream, listener);
  }

  /** Forgets the stream; harmless when it has finished. */
  leave(stream: number): void {
    if (this.#listeners.delete(stream)) this.send({ kind: 'drop', stream });
  }

  /** After a failure of the thread this does nothing: every stream has been told. */
  send(request: HashRequest): void {
    if (this.#failure !== undefined) return;
    if (request.kind === 'update') {
      this.#bytesDue += request.buffer.byteLength;
      this.#worker.postMessage(request, [request.buffer]);
    } else {
      this.#worker.postMessage(request, []);
    }
    if (request.kind === 'drop') return;
    this.#repliesDue++;
    this.#worker.ref();
  }

  async close(): Promise<void> {
    this.#fail(new Error('the hash threads are closed'));
    await this.#worker.terminate();
  }

  #receive(reply: HashReply): void {
    if (this.#failure !== undefined) return;
    this.#repliesDue--;
    if (this.#repliesDue === 0) this.#worker.unref();
    if (reply.kind === 'buffer') {
      this.#bytesDue -= reply.buffer.byteLength;
      this.#events.onBuffer(reply.buffer);
    }
    this.#listeners.get(reply.stream)?.onReply(reply);
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#events.onEnd(this.#bytesDue);
    for (const listener of this.#listeners.values()) listener.onFailure(error);
    this.#listeners.clear();
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
