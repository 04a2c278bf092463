import { randomUUID } from 'node:crypto';

import type { StorageKey } from '../../driver.ts';
import type { Bucket } from './bucket.ts';
import { failure } from './failure.ts';
import { keyBeside } from './upload-state.ts';

interface Segment {
  readonly key: string;
  readonly etag: string;
  readonly size: number;
}

/**
 * Bytes of one part that were put aside, as small objects beside the upload, because memory was short. They are
 * this process's own: after a crash nobody reads them, and they go with the upload.
 */
export class SpilledBytes {
  readonly #bucket: Bucket;
  readonly #key: StorageKey;
  readonly #id = randomUUID();
  readonly #segments: Segment[] = [];

  constructor(bucket: Bucket, key: StorageKey) {
    this.#bucket = bucket;
    this.#key = key;
  }

  /** Appends, at the latest when it resolves. */
  async add(bytes: Uint8Array): Promise<void> {
    const key = keyBeside(this.#key, `${this.#id}-${this.#segments.length}`);
    const etag = await this.#bucket.put(key, bytes);
    this.#segments.push({ key, etag: etag ?? '', size: bytes.length });
  }

  /** Fills the beginning of a buffer with everything. @returns how many bytes */
  async readInto(buffer: Buffer): Promise<number> {
    let position = 0;
    for (const { key, etag, size } of this.#segments) {
      const body = await this.#bucket.get(key, { etag });
      if (body?.size !== size) {
        body?.stream.destroy();
        throw failure('UNAVAILABLE', 'append', `a part of ${this.#key} that was put aside is gone`);
      }
      const end = position + size;
      for await (const piece of body.stream) {
        if (piece instanceof Uint8Array) position += Buffer.from(piece).copy(buffer, position);
      }
      if (position !== end) {
        throw failure('UNAVAILABLE', 'append', `a part of ${this.#key} that was put aside could not be read`);
      }
    }
    return position;
  }

  /** The upload's end removes what cannot be removed now. */
  async remove(): Promise<void> {
    const keys = this.#segments.map(({ key }) => key);
    for (let start = 0; start < keys.length; start += 1000) {
      await this.#bucket.delete(keys.slice(start, start + 1000)).catch(() => undefined);
    }
  }
}
