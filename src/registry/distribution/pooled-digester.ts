import { hash } from 'node:crypto';

import { type Digest, type DigestAlgorithm, parseDigest } from './digest.ts';
import type { Digester, StreamDigests } from './digester.ts';
import type { HashThread } from './hash-thread.ts';

export interface PooledDigesterOptions {
  /** Unique among the streams of a thread. */
  readonly stream: number;
  readonly algorithms: readonly DigestAlgorithm[];
  /** Called when the stream turns out to be worth a thread. */
  thread(): HashThread;
}

/** A stream up to this length is hashed at once at its end, which takes less time than asking a thread. */
export const SMALL_STREAM_BYTES = 64 << 10;

/** Collects a small stream, and sends a larger one to a hash thread. */
export class PooledDigester implements Digester {
  readonly #options: PooledDigesterOptions;
  #small: Uint8Array[] = [];
  #thread: HashThread | undefined;
  #size = 0;
  #ended = false;

  constructor(options: PooledDigesterOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#size;
  }

  async update(chunk: Uint8Array): Promise<void> {
    if (this.#ended) throw new Error('the digest was taken or given up');
    this.#size += chunk.byteLength;
    if (this.#thread === undefined && this.#size <= SMALL_STREAM_BYTES) {
      this.#small.push(Uint8Array.from(chunk));
      return;
    }
    this.#thread ??= this.#options.thread();
    const parts = [...this.#small, chunk];
    this.#small = [];
    await Promise.all(parts.map(async (bytes) => this.#send(bytes)));
  }

  async finish(): Promise<StreamDigests> {
    if (this.#ended) throw new Error('the digest was taken or given up');
    this.#ended = true;
    if (this.#thread === undefined) return this.#hashHere(Buffer.concat(this.#small));
    const reply = await this.#thread.ask({ kind: 'finish', stream: this.#options.stream });
    return digestsOf(reply.kind === 'digests' ? reply.digests : []);
  }

  close(): void {
    if (!this.#ended) this.#thread?.drop(this.#options.stream);
    this.#ended = true;
    this.#small = [];
  }

  /** What no thread shares is copied by the message. */
  async #send(bytes: Uint8Array): Promise<void> {
    const { stream, algorithms } = this.#options;
    const own = bytes.buffer instanceof SharedArrayBuffer ? bytes : Uint8Array.from(bytes);
    await this.#thread?.ask({ kind: 'update', stream, algorithms, bytes: own });
  }

  #hashHere(bytes: Uint8Array): StreamDigests {
    return digestsOf(this.#options.algorithms.map((name) => [name, hash(name, bytes, 'hex')]));
  }
}

function digestsOf(digests: readonly (readonly [DigestAlgorithm, string])[]): StreamDigests {
  const result: { [name in DigestAlgorithm]?: Digest } = {};
  for (const [algorithm, hex] of digests) result[algorithm] = parseDigest(`${algorithm}:${hex}`);
  return result;
}
