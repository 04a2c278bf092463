import type { BatchBuffers } from './batch-buffers.ts';
import type { Digest, DigestAlgorithm } from './digest.ts';

/** The digests of one stream of bytes, one per algorithm that was asked for. */
export type StreamDigests = Readonly<Partial<Record<DigestAlgorithm, Digest>>>;

/** Digests one stream of bytes. */
export interface Digester {
  /** Bytes taken so far. */
  readonly size: number;
  /**
   * Takes the next bytes; several calls may be under way. The buffer must stay as it is until the promise
   * resolves. Bytes in a batch of {@link Digesters.buffers} are not copied.
   */
  update(chunk: Uint8Array): Promise<void>;
  /** Ends the stream. All updates have been called. */
  finish(): Promise<StreamDigests>;
  /** Gives everything up; harmless after `finish`. */
  close(): void;
}

/** Makes digesters: the port behind which hashing happens elsewhere. */
export interface Digesters {
  /** Where streams collect their bytes before they are written and hashed. */
  readonly buffers: BatchBuffers;
  create(algorithms: readonly DigestAlgorithm[]): Digester;
  /** Ends the threads behind it; unfinished digesters fail. */
  close(): Promise<void>;
}
