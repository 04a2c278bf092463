import { Readable } from 'node:stream';

import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandInput,
  type ListMultipartUploadsCommandOutput,
  type ListObjectsV2CommandOutput,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';

import type { ReloadingClient } from './client.ts';
import { failure, fromSdk, isMissing, statusOf } from './failure.ts';

/** Keys of one request (DeleteObjects). */
export const DELETE_BATCH = 1000;

export interface ObjectHead {
  readonly size: number;
  readonly modifiedAt: Date;
  readonly etag: string;
  /** User metadata. */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface ObjectBody {
  /** Bytes that `stream` yields. */
  readonly size: number;
  readonly etag: string;
  readonly stream: Readable;
}

export interface UploadedPart {
  readonly number: number;
  readonly etag: string;
  readonly size: number;
}

export interface ListedPart extends UploadedPart {
  readonly modifiedAt: Date;
}

/** A multipart upload that was not completed yet. */
export interface UnfinishedUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly startedAt: Date;
}

/** Bytes of another object of the same bucket, refused when it is no longer the one that was seen. */
export interface CopySource {
  readonly key: string;
  readonly etag: string;
  readonly range?: { readonly start: number; readonly end: number };
}

interface PartTarget {
  readonly key: string;
  readonly uploadId: string;
  readonly number: number;
}

type Signal = AbortSignal | undefined;

/**
 * The requests that the driver makes: keys get the prefix here, and errors the words of the port. Every method
 * throws StorageError, or the reason of its signal.
 */
export class Bucket {
  readonly #client: S3Client;
  readonly #refresh: () => Promise<void>;
  readonly #name: string;
  readonly #prefix: string;

  /** @param prefix without slashes at its ends; empty for none */
  constructor(reloading: ReloadingClient, name: string, prefix: string) {
    this.#client = reloading.client;
    this.#refresh = () => reloading.refresh();
    this.#name = name;
    this.#prefix = prefix === '' ? '' : `${prefix}/`;
  }

  async head(key: string, signal?: Signal): Promise<ObjectHead | undefined> {
    const input = { Bucket: this.#name, Key: this.#prefix + key };
    const found = await this.#run('stat', signal, (options) =>
      this.#client.send(new HeadObjectCommand(input), options).catch(undefinedIfMissing),
    );
    return (
      found && {
        size: found.ContentLength ?? 0,
        modifiedAt: found.LastModified ?? new Date(0),
        etag: found.ETag ?? '',
        metadata: found.Metadata ?? {},
      }
    );
  }

  /** @param range inclusive, as in HTTP; `etag` refuses any other version */
  async get(
    key: string,
    wanted: { readonly range?: { start: number; end: number } | undefined; readonly etag?: string },
    signal?: Signal,
  ): Promise<ObjectBody | undefined> {
    const { range, etag } = wanted;
    const input = {
      Bucket: this.#name,
      Key: this.#prefix + key,
      ...(range === undefined ? {} : { Range: `bytes=${range.start}-${range.end}` }),
      ...(etag === undefined ? {} : { IfMatch: etag }),
    };
    const found = await this.#run('get', signal, (options) =>
      this.#client.send(new GetObjectCommand(input), options).catch(undefinedIfMissing),
    );
    if (found === undefined) return undefined;
    if (!(found.Body instanceof Readable)) throw failure('UNAVAILABLE', 'get', 'the response has no body');
    // Whoever destroys the stream would otherwise get its error as an uncaught one.
    found.Body.on('error', () => undefined);
    return { size: found.ContentLength ?? 0, etag: found.ETag ?? '', stream: found.Body };
  }

  /** @returns the etag; undefined when `ifAbsent` was set and the key exists */
  async put(
    key: string,
    bytes: Uint8Array,
    how: { readonly ifAbsent?: boolean; readonly metadata?: Record<string, string> } = {},
    signal?: Signal,
  ): Promise<string | undefined> {
    const input = {
      Bucket: this.#name,
      Key: this.#prefix + key,
      Body: bytes,
      ContentLength: bytes.length,
      ...(how.metadata === undefined ? {} : { Metadata: how.metadata }),
      ...(how.ifAbsent === true ? { IfNoneMatch: '*' } : {}),
    };
    const result = await this.#run('put', signal, async (options) => {
      try {
        return await this.#client.send(new PutObjectCommand(input), options);
      } catch (error) {
        // 409: another conditional write of this key is under way, and it will win.
        const status = statusOf(error);
        if (how.ifAbsent === true && (status === 412 || status === 409)) return undefined;
        throw error;
      }
    });
    return result && (result.ETag ?? '');
  }

  /** Objects up to 5 GiB. */
  async copy(source: CopySource, key: string, signal?: Signal): Promise<void> {
    const input = {
      Bucket: this.#name,
      Key: this.#prefix + key,
      CopySource: this.#copySource(source.key),
      CopySourceIfMatch: source.etag,
      MetadataDirective: 'REPLACE' as const,
    };
    await this.#run('copy', signal, (options) => this.#client.send(new CopyObjectCommand(input), options));
  }

  /** One batch after the other; missing keys are not an error. */
  async delete(keys: readonly string[], signal?: Signal): Promise<void> {
    for (let from = 0; from < keys.length; from += DELETE_BATCH) {
      await this.#deleteBatch(keys.slice(from, from + DELETE_BATCH), signal);
    }
  }

  async #deleteBatch(keys: readonly string[], signal?: Signal): Promise<void> {
    const [only] = keys;
    if (only === undefined) return;
    if (keys.length === 1) {
      const input = { Bucket: this.#name, Key: this.#prefix + only };
      await this.#run('delete', signal, (options) =>
        this.#client.send(new DeleteObjectCommand(input), options).catch(undefinedIfMissing),
      );
      return;
    }
    const Delete = { Quiet: true, Objects: keys.map((key) => ({ Key: this.#prefix + key })) };
    const { Errors: errors = [] } = await this.#run('delete', signal, (options) =>
      this.#client.send(new DeleteObjectsCommand({ Bucket: this.#name, Delete }), options),
    );
    const error = errors.find(({ Code }) => Code !== 'NoSuchKey');
    if (error !== undefined) {
      const code = error.Code === 'AccessDenied' ? 'ACCESS_DENIED' : 'UNAVAILABLE';
      throw failure(code, 'delete', `${error.Code}: ${error.Message} (${error.Key})`);
    }
  }

  /** One page of the back end, as it is; names are relative to `prefix`. */
  async list(
    prefix: string,
    page: { after: string; limit: number; delimiter: '/' | undefined; token: string | undefined },
    signal?: Signal,
  ): Promise<{ names: string[]; token: string | undefined }> {
    const full = this.#prefix + prefix;
    const input = {
      Bucket: this.#name,
      Prefix: full,
      MaxKeys: page.limit,
      ...(page.after === '' ? {} : { StartAfter: full + page.after }),
      ...(page.delimiter === undefined ? {} : { Delimiter: page.delimiter }),
      ...(page.token === undefined ? {} : { ContinuationToken: page.token }),
    };
    const found = await this.#run('list', signal, (options) =>
      this.#client.send(new ListObjectsV2Command(input), options),
    );
    const token = found.IsTruncated === true ? found.NextContinuationToken : undefined;
    return { names: namesOf(found).map((name) => name.slice(full.length)), token };
  }

  async createUpload(key: string, signal?: Signal): Promise<string> {
    const input = { Bucket: this.#name, Key: this.#prefix + key };
    const { UploadId } = await this.#run('createUpload', signal, (options) =>
      this.#client.send(new CreateMultipartUploadCommand(input), options),
    );
    if (UploadId === undefined) throw failure('UNAVAILABLE', 'createUpload', 'the response has no upload id');
    return UploadId;
  }

  async uploadPart(target: PartTarget, bytes: Uint8Array, signal?: Signal): Promise<UploadedPart> {
    const input = { ...this.#partInput(target), Body: bytes, ContentLength: bytes.length };
    const { ETag } = await this.#run('uploadPart', signal, (options) =>
      this.#client.send(new UploadPartCommand(input), options),
    );
    return { number: target.number, etag: ETag ?? '', size: bytes.length };
  }

  /** @param size of what is copied */
  async copyPart(
    target: PartTarget,
    source: CopySource,
    size: number,
    signal?: Signal,
  ): Promise<UploadedPart> {
    const { range } = source;
    const input = {
      ...this.#partInput(target),
      CopySource: this.#copySource(source.key),
      CopySourceIfMatch: source.etag,
      ...(range === undefined ? {} : { CopySourceRange: `bytes=${range.start}-${range.end}` }),
    };
    const { CopyPartResult } = await this.#run('copyPart', signal, (options) =>
      this.#client.send(new UploadPartCopyCommand(input), options),
    );
    return { number: target.number, etag: CopyPartResult?.ETag ?? '', size };
  }

  /** @returns the etag of the object */
  async completeUpload(
    key: string,
    uploadId: string,
    parts: readonly UploadedPart[],
    signal?: Signal,
  ): Promise<string> {
    const input = {
      Bucket: this.#name,
      Key: this.#prefix + key,
      UploadId: uploadId,
      MultipartUpload: { Parts: parts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag })) },
    };
    const { ETag } = await this.#run('completeUpload', signal, (options) =>
      this.#client.send(new CompleteMultipartUploadCommand(input), options),
    );
    return ETag ?? '';
  }

  /** An upload that is gone already is not an error. */
  async abortUpload(key: string, uploadId: string, signal?: Signal): Promise<void> {
    const input = { Bucket: this.#name, Key: this.#prefix + key, UploadId: uploadId };
    await this.#run('abortUpload', signal, (options) =>
      this.#client.send(new AbortMultipartUploadCommand(input), options).catch(undefinedIfNoUpload),
    );
  }

  /** The unfinished multipart uploads of exactly this key. */
  async listUploads(key: string, signal?: Signal): Promise<UnfinishedUpload[]> {
    const found: UnfinishedUpload[] = [];
    for await (const upload of this.uploadsBelow(key, signal)) {
      if (upload.key === key) found.push(upload);
      // Keys are in order, and behind `key` there are only longer ones.
      else if (upload.key > key) break;
    }
    return found;
  }

  /** The unfinished multipart uploads of all keys that begin with `prefix`, in order of the keys. */
  async *uploadsBelow(prefix: string, signal?: Signal): AsyncGenerator<UnfinishedUpload> {
    const full = this.#prefix + prefix;
    let marker: UploadMarker | undefined = {};
    while (marker !== undefined) {
      const input: ListMultipartUploadsCommandInput = { Bucket: this.#name, Prefix: full, ...marker };
      const page: ListMultipartUploadsCommandOutput = await this.#run('listUploads', signal, (options) =>
        this.#client.send(new ListMultipartUploadsCommand(input), options),
      );
      for (const { Key = '', UploadId: uploadId, Initiated: startedAt = new Date() } of page.Uploads ?? []) {
        const key = Key.slice(this.#prefix.length);
        if (Key.startsWith(full) && uploadId !== undefined) yield { key, uploadId, startedAt };
      }
      marker = nextMarker(page);
    }
  }

  /** In order of their numbers. @returns undefined when there is no such upload */
  async listParts(key: string, uploadId: string, signal?: Signal): Promise<ListedPart[] | undefined> {
    const parts: ListedPart[] = [];
    let marker: string | undefined;
    do {
      const input = {
        Bucket: this.#name,
        Key: this.#prefix + key,
        UploadId: uploadId,
        ...(marker === undefined ? {} : { PartNumberMarker: marker }),
      };
      const page = await this.#run('listParts', signal, (options) =>
        this.#client.send(new ListPartsCommand(input), options).catch(undefinedIfNoUpload),
      );
      if (page === undefined) return undefined;
      for (const { PartNumber, ETag, Size, LastModified } of page.Parts ?? []) {
        const modifiedAt = LastModified ?? new Date();
        parts.push({ number: PartNumber ?? 0, etag: ETag ?? '', size: Size ?? 0, modifiedAt });
      }
      marker = page.IsTruncated === true ? page.NextPartNumberMarker : undefined;
    } while (marker !== undefined);
    return parts;
  }

  close(): void {
    this.#client.destroy();
  }

  #partInput({ key, uploadId, number }: PartTarget) {
    return { Bucket: this.#name, Key: this.#prefix + key, UploadId: uploadId, PartNumber: number };
  }

  #copySource(key: string): string {
    return `${this.#name}/${this.#prefix}${key}`.split('/').map(encodeURIComponent).join('/');
  }

  async #run<T>(
    operation: string,
    signal: Signal,
    request: (options: { abortSignal?: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    try {
      await this.#refresh();
      return await request(signal === undefined ? {} : { abortSignal: signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw fromSdk(error, operation);
    }
  }
}

interface UploadMarker {
  readonly KeyMarker?: string;
  readonly UploadIdMarker?: string;
}

function nextMarker(page: ListMultipartUploadsCommandOutput): UploadMarker | undefined {
  const { IsTruncated, NextKeyMarker, NextUploadIdMarker } = page;
  if (IsTruncated !== true || NextKeyMarker === undefined) return undefined;
  return { KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker ?? '' };
}

/** Objects and folders in one order. */
function namesOf(page: ListObjectsV2CommandOutput): string[] {
  const objects = (page.Contents ?? []).map(({ Key = '' }) => Key);
  const folders = (page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix);
  return folders.length === 0 ? objects : [...objects, ...folders].toSorted();
}

function undefinedIfMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}

/** Ceph 16 says NoSuchKey. */
function undefinedIfNoUpload(error: unknown): undefined {
  if (!(error instanceof Error) || !['NoSuchUpload', 'NoSuchKey'].includes(error.name)) throw error;
}
