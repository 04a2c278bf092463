import { createHash } from 'node:crypto';

import type { BufferPool } from '../../buffer-pool.ts';
import type { StorageKey, WriteSession, WriteToken } from '../../driver.ts';
import { isStorageError } from '../../errors.ts';
import type { Bucket, UploadedPart } from './bucket.ts';
import { copyObject } from './copy.ts';
import { failure, fromSdk } from './failure.ts';
import { PartBuffer } from './part-buffer.ts';
import { partAt } from './part-layout.ts';
import { durableOffset, tailKey, tailMetadata, tokenOf, type UploadState } from './upload-state.ts';

/** Parts of one session that are on their way at once, if the pool has buffers for them. */
const PARALLEL_PARTS = 4;

export const EMPTY_STATE: UploadState = {
  uploadId: undefined,
  parts: [],
  tail: undefined,
  complete: undefined,
};

export interface ObjectSessionOptions {
  readonly bucket: Bucket;
  readonly buffers: BufferPool;
  /** Where the multipart upload and the tail are kept. */
  readonly key: StorageKey;
}

/**
 * An upload to an object store. Whole parts go out as they fill; `suspend` puts the rest into a small object
 * beside. There is no lock: a part's number follows from its offset and its etag is remembered, so a writer
 * whose parts were replaced by another one fails with SESSION_BUSY at commit, and bytes never mix.
 */
export class ObjectSession implements WriteSession {
  readonly #bucket: Bucket;
  readonly #buffers: BufferPool;
  readonly #key: StorageKey;
  #state: UploadState;
  /** By index: the number of a part less one. */
  readonly #parts: UploadedPart[];
  /** Number of the part that is being gathered. */
  #current: number;
  /** Undefined as long as the bytes of the part are only in the stored tail, if there are any. */
  #buffer: PartBuffer | undefined;
  readonly #sending = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #creating: Promise<string> | undefined;
  #failure: Error | undefined;
  #ended = false;

  constructor(options: ObjectSessionOptions, state: UploadState) {
    this.#bucket = options.bucket;
    this.#buffers = options.buffers;
    this.#key = options.key;
    this.#state = state;
    this.#parts = [...state.parts];
    this.#current = state.parts.length + 1;
  }

  get offset(): number {
    if (this.#buffer === undefined) return durableOffset(this.#state);
    return partAt(this.#current).start + this.#buffer.length;
  }

  async append(chunk: Uint8Array): Promise<void> {
    this.#assertUsable('append');
    if (chunk.length === 0) return;
    if (this.#state.complete !== undefined) {
      throw failure('SESSION_BUSY', 'append', `${this.#key} is complete and waits for its commit`);
    }
    let buffer = this.#buffer ?? (await this.#loadTail());
    for (let rest = chunk; rest.length > 0;) {
      const { size } = partAt(this.#current);
      const bytes = rest.subarray(0, size - buffer.length);
      if (buffer.needsBuffer(bytes.length)) await this.#reserve(buffer);
      buffer.append(bytes);
      rest = rest.subarray(bytes.length);
      if (buffer.isFull) buffer = this.#sendPart(buffer);
    }
  }

  async flush(): Promise<void> {
    this.#assertUsable('flush');
    await this.#settle();
  }

  async suspend(): Promise<WriteToken> {
    if (this.#ended) this.#assertUsable('suspend');
    try {
      await this.#settle();
      const isNew = this.#state.uploadId === undefined && this.#state.tail === undefined;
      if (isNew || (this.#buffer !== undefined && this.#buffer.length > 0)) await this.#storeTail();
      return tokenOf(this.#state);
    } finally {
      this.#end();
    }
  }

  async commit(key: StorageKey): Promise<void> {
    this.#assertUsable('commit');
    await this.#settle();
    try {
      if (this.#state.complete === undefined && this.#state.uploadId === undefined) {
        await this.#commitSmall(key);
      } else {
        await this.#complete();
        await this.#publish(key);
      }
    } catch (error) {
      if (!isStorageError(error, 'NOT_FOUND')) throw error;
      throw failure('SESSION_BUSY', 'commit', `another writer ended ${this.#key}`);
    }
    this.#end();
  }

  async abort(): Promise<void> {
    if (this.#ended) return;
    this.#stop.abort();
    await Promise.allSettled(this.#sending);
    this.#end();
    const uploads = await this.#bucket.listUploads(this.#key);
    await Promise.all(uploads.map((uploadId) => this.#bucket.abortUpload(this.#key, uploadId)));
    await this.#bucket.delete([this.#key, tailKey(this.#key)]);
  }

  /** Begins the gathering of a part with what an earlier session left of it. */
  async #loadTail(): Promise<PartBuffer> {
    const buffer = new PartBuffer(this.#buffers, partAt(this.#current).size);
    const { tail } = this.#state;
    if (tail !== undefined && tail.size > 0) {
      if (buffer.needsBuffer(tail.size)) await buffer.reserve();
      try {
        await this.#fill(buffer, tail.etag);
      } catch (error) {
        buffer.release();
        throw error;
      }
    }
    this.#buffer = buffer;
    return buffer;
  }

  async #fill(buffer: PartBuffer, etag: string): Promise<void> {
    const body = await this.#bucket.get(tailKey(this.#key), { etag });
    if (body === undefined) throw failure('SESSION_BUSY', 'append', `another writer ended ${this.#key}`);
    for await (const piece of body.stream) {
      if (piece instanceof Uint8Array) buffer.append(piece);
    }
    if (buffer.length !== body.size) {
      throw failure('UNAVAILABLE', 'append', `the rest of ${this.#key} could not be read`);
    }
  }

  /** Own parts that are on their way give their buffers back; only without any may this session wait for others. */
  async #reserve(buffer: PartBuffer): Promise<void> {
    while (this.#sending.size >= PARALLEL_PARTS || !buffer.tryReserve()) {
      if (this.#sending.size === 0) {
        await buffer.reserve();
        return;
      }
      await Promise.race(this.#sending);
      this.#assertUsable('append');
    }
  }

  #sendPart(buffer: PartBuffer): PartBuffer {
    const number = this.#current;
    const sending = this.#upload(number, buffer).finally(() => {
      this.#sending.delete(sending);
    });
    this.#sending.add(sending);
    this.#current += 1;
    this.#buffer = new PartBuffer(this.#buffers, partAt(this.#current).size);
    return this.#buffer;
  }

  async #upload(number: number, buffer: PartBuffer): Promise<void> {
    try {
      const uploadId = await this.#uploadId();
      const part = { key: this.#key, uploadId, number };
      this.#parts[number - 1] = await this.#bucket.uploadPart(part, buffer.bytes(), this.#stop.signal);
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : fromSdk(error, 'append');
    } finally {
      buffer.release();
    }
  }

  #uploadId(): Promise<string> {
    this.#creating ??=
      this.#state.uploadId === undefined
        ? this.#bucket.createUpload(this.#key, this.#stop.signal)
        : Promise.resolve(this.#state.uploadId);
    return this.#creating;
  }

  /** Waits until every part that was sent is stored. */
  async #settle(): Promise<void> {
    await Promise.all(this.#sending);
    if (this.#failure !== undefined) throw this.#failure;
    const uploadId = await this.#creating;
    if (uploadId !== undefined) this.#state = { ...this.#state, uploadId };
    if (this.#parts.length > this.#state.parts.length) {
      this.#state = { ...this.#state, parts: [...this.#parts], tail: undefined };
    }
  }

  async #storeTail(): Promise<void> {
    const bytes = this.#buffer?.bytes() ?? Buffer.of();
    const metadata = tailMetadata(this.#current);
    const etag = await this.#bucket.put(tailKey(this.#key), bytes, { metadata });
    this.#state = { ...this.#state, tail: { size: bytes.length, etag: etag ?? '' } };
  }

  /** Straight to the final key: below one part there is nothing that would have to be copied. */
  async #commitSmall(key: StorageKey): Promise<void> {
    const { tail } = this.#state;
    if (this.#buffer === undefined && tail !== undefined) {
      await this.#bucket.copy({ key: tailKey(this.#key), etag: tail.etag }, key);
    } else {
      await this.#bucket.put(key, this.#buffer?.bytes() ?? Buffer.of());
    }
    await this.#dropTail();
  }

  /** Makes one object of the parts, where nobody sees it yet. */
  async #complete(): Promise<void> {
    const { uploadId } = this.#state;
    if (uploadId === undefined) return;
    const size = this.offset;
    const parts = [...this.#parts, ...(await this.#sendLastPart(uploadId))];
    const etag = await this.#bucket
      .completeUpload(this.#key, uploadId, parts)
      .catch((error: unknown) => this.#recoverComplete(parts, error));
    this.#state = { ...EMPTY_STATE, complete: { size, etag } };
    this.#buffer?.release();
    this.#buffer = undefined;
  }

  /** The answer to the first attempt may have been lost, and the SDK's second one found no upload any more. */
  async #recoverComplete(parts: readonly UploadedPart[], error: unknown): Promise<string> {
    if (!isStorageError(error, 'SESSION_BUSY') && !isStorageError(error, 'NOT_FOUND')) throw error;
    const found = await this.#bucket.head(this.#key);
    if (found === undefined || found.etag.replaceAll('"', '') !== multipartEtag(parts)) throw error;
    return found.etag;
  }

  async #sendLastPart(uploadId: string): Promise<UploadedPart[]> {
    const part = { key: this.#key, uploadId, number: this.#current };
    const { tail } = this.#state;
    if (this.#buffer !== undefined) {
      return this.#buffer.length === 0 ? [] : [await this.#bucket.uploadPart(part, this.#buffer.bytes())];
    }
    if (tail === undefined || tail.size === 0) return [];
    const source = { key: tailKey(this.#key), etag: tail.etag };
    return [await this.#bucket.copyPart(part, source, tail.size)];
  }

  async #publish(key: StorageKey): Promise<void> {
    const { complete } = this.#state;
    if (complete === undefined) return;
    await copyObject(this.#bucket, { key: this.#key, ...complete }, key);
    const others = await this.#bucket.listUploads(this.#key);
    await Promise.all(others.map((uploadId) => this.#bucket.abortUpload(this.#key, uploadId)));
    await this.#bucket.delete([this.#key, tailKey(this.#key)]);
  }

  async #dropTail(): Promise<void> {
    if (this.#state.tail !== undefined) await this.#bucket.delete([tailKey(this.#key)]);
  }

  #end(): void {
    this.#ended = true;
    this.#buffer?.release();
    this.#buffer = undefined;
  }

  #assertUsable(operation: string): void {
    if (this.#ended) throw failure('SESSION_BUSY', operation, 'this session has ended');
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/** What servers make of the MD5s of the parts, unless they encrypt with keys of their own. */
function multipartEtag(parts: readonly UploadedPart[]): string {
  const hash = createHash('md5');
  for (const { etag } of parts) hash.update(etag.replaceAll('"', ''), 'hex');
  return `${hash.digest('hex')}-${parts.length}`;
}
