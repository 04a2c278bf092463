import { createHash } from 'node:crypto';

import type { BufferPool } from '../../buffer-pool.ts';
import type { StorageKey, WriteSession, WriteToken } from '../../driver.ts';
import { isStorageError } from '../../errors.ts';
import type { Bucket, UploadedPart } from './bucket.ts';
import { copyObject } from './copy.ts';
import { failure, fromSdk } from './failure.ts';
import { PartBuffer } from './part-buffer.ts';
import { partAt } from './part-layout.ts';
import { SpilledBytes } from './spilled-bytes.ts';
import {
  durableOffset,
  EMPTY_STATE,
  keyBeside,
  namesBeside,
  tailKey,
  tailMetadata,
  tokenOf,
  type UploadState,
} from './upload-state.ts';

/** Parts of one session that are on their way at once, if the pool has buffers for them. */
const PARALLEL_PARTS = 4;

/** A client that sends less is slow, in bytes per millisecond: it gets a buffer only when one is free. */
const SLOW_RATE = 1024;

export interface ObjectSessionOptions {
  readonly bucket: Bucket;
  readonly buffers: BufferPool;
  /** Where the multipart upload and the tail are kept. */
  readonly key: StorageKey;
  /** Milliseconds. */
  readonly now: () => number;
}

/**
 * An upload to an object store. Whole parts go out as they fill; `suspend` puts the rest into a small object
 * beside. There is no lock: a part's number follows from its offset and its etag is remembered, so a writer
 * whose parts were replaced by another one fails with SESSION_BUSY at commit, and bytes never mix.
 */
export class ObjectSession implements WriteSession {
  readonly #options: ObjectSessionOptions;
  readonly #bucket: Bucket;
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
  /** When the client's turn began. */
  #waitingSince: number;
  #isSlow = false;

  constructor(options: ObjectSessionOptions, state: UploadState) {
    this.#options = options;
    this.#waitingSince = options.now();
    this.#bucket = options.bucket;
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
    const { now } = this.#options;
    this.#isSlow = chunk.length < SLOW_RATE * (now() - this.#waitingSince);
    let buffer = this.#buffer ?? (await this.#loadTail());
    for (let rest = chunk; rest.length > 0;) {
      const { size } = partAt(this.#current);
      const bytes = rest.subarray(0, size - buffer.length);
      if (buffer.needsBuffer(bytes.length)) await this.#reserve(buffer);
      await buffer.append(bytes);
      rest = rest.subarray(bytes.length);
      if (buffer.isFull) buffer = await this.#sendPart(buffer);
    }
    this.#waitingSince = now();
  }

  async flush(): Promise<void> {
    this.#assertUsable('flush');
    await this.#settle();
  }

  async suspend(): Promise<WriteToken> {
    if (this.#ended) this.#assertUsable('suspend');
    try {
      await this.#settle();
      const { uploadId, tail, complete } = this.#state;
      const isNew = uploadId === undefined && tail === undefined && complete === undefined;
      if (isNew || (this.#buffer !== undefined && this.#buffer.length > 0)) await this.#storeTail();
      return tokenOf(this.#state);
    } finally {
      await this.#end();
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
    await this.#end();
  }

  async abort(): Promise<void> {
    if (this.#ended) return;
    this.#stop.abort();
    await Promise.allSettled(this.#sending);
    await this.#end();
    const [uploads, beside] = await Promise.all([
      this.#bucket.listUploads(this.#key),
      namesBeside(this.#bucket, this.#key),
    ]);
    await Promise.all(uploads.map(({ uploadId }) => this.#bucket.abortUpload(this.#key, uploadId)));
    const keys = new Set([
      this.#key,
      tailKey(this.#key),
      ...beside.map((name) => keyBeside(this.#key, name)),
    ]);
    await this.#bucket.delete([...keys]);
  }

  #newBuffer(): PartBuffer {
    const { bucket, buffers, key } = this.#options;
    const { size } = partAt(this.#current);
    return new PartBuffer({ pool: buffers, capacity: size, spill: () => new SpilledBytes(bucket, key) });
  }

  /** Begins the gathering of a part with what an earlier session left of it. */
  async #loadTail(): Promise<PartBuffer> {
    const buffer = this.#newBuffer();
    const { tail } = this.#state;
    if (tail !== undefined && tail.size > 0) {
      if (buffer.needsBuffer(tail.size)) await buffer.reserve();
      try {
        await this.#fill(buffer, tail.etag);
      } catch (error) {
        await buffer.release();
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
      if (piece instanceof Uint8Array) await buffer.append(piece);
    }
    if (buffer.length !== body.size) {
      throw failure('UNAVAILABLE', 'append', `the rest of ${this.#key} could not be read`);
    }
  }

  /** Own parts that are on their way give their buffers back; only without any may this session wait for others. */
  async #reserve(buffer: PartBuffer): Promise<void> {
    while (this.#sending.size >= PARALLEL_PARTS || !buffer.tryReserve()) {
      if (this.#isSlow) {
        buffer.doWithout();
        return;
      }
      if (this.#sending.size === 0) {
        await buffer.reserve();
        return;
      }
      await Promise.race(this.#sending);
      this.#assertUsable('append');
    }
  }

  async #sendPart(buffer: PartBuffer): Promise<PartBuffer> {
    const number = this.#current;
    // Waits for memory, if it has to, while this session holds none.
    const bytes = await buffer.load();
    const sending = this.#upload(number, bytes, buffer).finally(() => {
      this.#sending.delete(sending);
    });
    this.#sending.add(sending);
    this.#current += 1;
    this.#buffer = this.#newBuffer();
    return this.#buffer;
  }

  /** @param buffer holds the bytes, and is released */
  async #upload(number: number, bytes: Buffer, buffer: PartBuffer): Promise<void> {
    try {
      const uploadId = await this.#uploadId();
      const part = { key: this.#key, uploadId, number };
      this.#parts[number - 1] = await this.#bucket.uploadPart(part, bytes, this.#stop.signal);
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : fromSdk(error, 'append');
    } finally {
      await buffer.release();
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
    const bytes = (await this.#buffer?.load()) ?? Buffer.of();
    const metadata = tailMetadata(this.#current, this.#parts);
    const etag = await this.#bucket.put(tailKey(this.#key), bytes, { metadata });
    this.#state = { ...this.#state, tail: { size: bytes.length, etag: etag ?? '' } };
  }

  /** Straight to the final key: below one part there is nothing that would have to be copied. */
  async #commitSmall(key: StorageKey): Promise<void> {
    const { tail } = this.#state;
    if (this.#buffer === undefined && tail !== undefined) {
      await this.#bucket.copy({ key: tailKey(this.#key), etag: tail.etag }, key);
    } else {
      await this.#bucket.put(key, (await this.#buffer?.load()) ?? Buffer.of());
    }
    await this.#clean(tail === undefined ? [] : [tailKey(this.#key)]);
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
    this.#state = { ...EMPTY_STATE, complete: { size, etag }, useless: this.#state.useless };
    await this.#dropBuffer();
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
      if (this.#buffer.length === 0) return [];
      return [await this.#bucket.uploadPart(part, await this.#buffer.load())];
    }
    if (tail === undefined || tail.size === 0) return [];
    const source = { key: tailKey(this.#key), etag: tail.etag };
    return [await this.#bucket.copyPart(part, source, tail.size)];
  }

  async #publish(key: StorageKey): Promise<void> {
    const { complete } = this.#state;
    if (complete === undefined) return;
    await copyObject(this.#bucket, { key: this.#key, ...complete }, key);
    const others = await this.#bucket.listUploads(this.#key).catch(() => []);
    await Promise.allSettled([
      ...others.map(({ uploadId }) => this.#bucket.abortUpload(this.#key, uploadId)),
      this.#clean([this.#key, tailKey(this.#key)]),
    ]);
  }

  /** The content is at its place; what cannot be removed now is found by the sweep. */
  async #clean(keys: readonly string[]): Promise<void> {
    await this.#bucket.delete([...keys, ...this.#state.useless]).catch(() => undefined);
  }

  async #dropBuffer(): Promise<void> {
    const buffer = this.#buffer;
    this.#buffer = undefined;
    await buffer?.release();
  }

  async #end(): Promise<void> {
    this.#ended = true;
    await this.#dropBuffer();
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
