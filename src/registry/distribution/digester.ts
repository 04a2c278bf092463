import type { Digest, DigestAlgorithm } from './digest.ts';

/** The digests of one stream of bytes, one per algorithm that was asked for. */
export type StreamDigests = Readonly<Partial<Record<DigestAlgorithm, Digest>>>;

/** Digests one stream of bytes. Calls must not overlap. */
export interface Digester {
  /** Bytes taken so far. */
  readonly size: number;
  /** Takes the next bytes. When it resolves the buffer may be used again; it waits while too much is queued. */
  update(chunk: Uint8Array): Promise<void>;
  /** Gives large buffers back because nothing more may come for a long while; `update` may follow. */
  park(): Promise<void>;
  /** Ends the stream. */
  finish(): Promise<StreamDigests>;
  /** Gives everything up; harmless after `finish`. */
  close(): void;
}

/** Makes digesters: the port behind which hashing happens elsewhere. */
export interface Digesters {
  create(algorithms: readonly DigestAlgorithm[]): Digester;
  /** Ends the threads behind it; unfinished digesters fail. */
  close(): Promise<void>;
}
