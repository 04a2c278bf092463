import type { StorageDriver } from '../storage/driver.ts';
import { abandonedUploads } from './abandoned-uploads.ts';
import { BlobService } from './blob-service.ts';
import type { Descriptor } from './descriptor.ts';
import { algorithmOf, type Digest, type DigestAlgorithm } from './digest.ts';
import { DistributionError, RangeInvalid, type UploadStatus } from './errors.ts';
import { uploadStartedKey } from './layout.ts';
import type { RepositoryName, UploadId } from './names.ts';
import { parseUploadId } from './reference.ts';
import type { ServiceCall, ServiceDependencies } from './service-dependencies.ts';
import type { UploadBody } from './upload-body.ts';
import { UploadFinisher } from './upload-finisher.ts';
import { type OpenUpload, uploadFailure, UploadSessions, type UploadSite } from './upload-sessions.ts';

export type { UploadStatus } from './errors.ts';
export type { UploadBody } from './upload-body.ts';

/**
 * Upload sessions (OCI dist-spec "Pushing blobs"). All state is in the storage: between two requests a
 * session is suspended, and any replica can go on with it. What this process remembers only saves work.
 */
export class UploadService {
  readonly #storage: StorageDriver;
  readonly #clock: ServiceDependencies['clock'];
  readonly #ids: ServiceDependencies['ids'];
  readonly #blobs: BlobService;
  readonly #sessions: UploadSessions;
  readonly #finisher: UploadFinisher;

  constructor(dependencies: ServiceDependencies) {
    this.#storage = dependencies.storage;
    this.#clock = dependencies.clock;
    this.#ids = dependencies.ids;
    this.#blobs = new BlobService(dependencies);
    this.#sessions = new UploadSessions(dependencies);
    this.#finisher = new UploadFinisher(dependencies);
  }

  /**
   * Opens a session.
   *
   * @param call `algorithm` announces the digest at the end, which saves reading the content once more;
   *   sha256 needs no announcement
   */
  async start(
    repository: RepositoryName,
    call: ServiceCall & { readonly algorithm?: DigestAlgorithm },
  ): Promise<UploadStatus> {
    const id = parseUploadId(this.#ids.uuid());
    const startedAt = Buffer.from(this.#clock.now().toISOString(), 'ascii');
    await this.#storage.put(uploadStartedKey(repository, id), startedAt, { signal: call.signal });
    this.#sessions.expect({ repository, id }, call.algorithm ?? 'sha256');
    return { repository, id, offset: 0 };
  }

  /**
   * Adds a chunk. What arrived before a failure is kept, and {@link status} tells how much.
   *
   * @throws DistributionError BLOB_UPLOAD_UNKNOWN, SIZE_INVALID; RangeInvalid when the chunk does not start
   *   where the upload ends, or another request writes to it
   */
  async append(
    repository: RepositoryName,
    id: UploadId,
    body: UploadBody,
    call: ServiceCall,
  ): Promise<UploadStatus> {
    return this.#sessions.hold({ repository, id }, async (upload, interrupted) => {
      if (upload === undefined) throw unknown();
      await this.#receive(upload, body, AbortSignal.any([call.signal, interrupted]), 'leave');
      return this.#sessions.leave(upload);
    });
  }

  /** @throws DistributionError BLOB_UPLOAD_UNKNOWN */
  async status(repository: RepositoryName, id: UploadId, call: ServiceCall): Promise<UploadStatus> {
    call.signal.throwIfAborted();
    const status = await this.#sessions.inspect({ repository, id });
    if (status === undefined) throw unknown();
    return status;
  }

  /**
   * Ends the session and forgets its bytes; a request of this process that is writing to it fails.
   *
   * @throws DistributionError BLOB_UPLOAD_UNKNOWN
   */
  async cancel(repository: RepositoryName, id: UploadId, call: ServiceCall): Promise<void> {
    call.signal.throwIfAborted();
    const site = { repository, id };
    await this.#sessions.interrupt(site, unknown('the upload was cancelled'));
    await this.#sessions.holdExisting(site, async (upload) => {
      if (upload === undefined && !(await this.#sessions.isStarted(site))) throw unknown();
      await this.#forget(site, upload);
    });
  }

  /**
   * Takes the last bytes, if any, and makes the upload a blob of the repository. Repeating a call that
   * succeeded succeeds, without reading the body. So can a call be repeated that brought everything and failed:
   * of its bytes nothing is kept.
   *
   * @throws DistributionError DIGEST_INVALID (the session is gone then), BLOB_UPLOAD_UNKNOWN, SIZE_INVALID;
   *   RangeInvalid (the session stays)
   */
  // oxlint-disable-next-line max-params -- an upload is named by two of them
  async complete(
    repository: RepositoryName,
    id: UploadId,
    digest: Digest,
    body: UploadBody | undefined,
    call: ServiceCall,
  ): Promise<Descriptor> {
    return this.#sessions.hold({ repository, id }, async (upload, interrupted) => {
      if (upload === undefined) return this.#completeAgain(repository, id, digest, call);
      if (body !== undefined) {
        const everything = upload.session.offset === 0 && body.start === undefined;
        const signal = AbortSignal.any([call.signal, interrupted]);
        await this.#receive(upload, body, signal, everything ? 'discard' : 'leave');
      }
      return this.#finish(upload, digest, 'leave');
    });
  }

  /**
   * A whole blob in one request. Nothing is kept of a failed one.
   *
   * @throws DistributionError DIGEST_INVALID, SIZE_INVALID
   */
  async push(
    repository: RepositoryName,
    digest: Digest,
    body: UploadBody,
    call: ServiceCall,
  ): Promise<Descriptor> {
    const site = { repository, id: parseUploadId(this.#ids.uuid()) };
    return this.#sessions.holdNew(site, algorithmOf(digest), async (upload, interrupted) => {
      await this.#receive(upload, body, AbortSignal.any([call.signal, interrupted]), 'discard');
      return this.#finish(upload, digest, 'discard');
    });
  }

  /**
   * Removes sessions that were started, and as far as the storage can tell last written to, before a moment.
   * Sessions in use stay.
   *
   * @returns how many were removed
   */
  async purge(olderThan: Date, call: ServiceCall): Promise<number> {
    let removed = 0;
    for await (const site of abandonedUploads(this.#storage, olderThan, call)) {
      if (this.#sessions.isHeld(site)) continue;
      try {
        await this.#sessions.holdExisting(site, async (upload) => this.#forget(site, upload));
        removed++;
      } catch (error) {
        if (!(error instanceof RangeInvalid)) throw error;
      }
    }
    return removed;
  }

  /** Interrupts what is going on, keeps what arrived, and lets other replicas go on with it. */
  async close(): Promise<void> {
    await this.#sessions.close(new DistributionError('UNAVAILABLE', { message: 'the server is stopping' }));
  }

  async #forget(site: UploadSite, upload: OpenUpload | undefined): Promise<void> {
    upload?.digester?.close();
    await upload?.session.abort();
    await this.#finisher.removeTraces(site);
  }

  async #receive(
    upload: OpenUpload,
    body: UploadBody,
    signal: AbortSignal,
    afterFailure: AfterFailure,
  ): Promise<void> {
    const { repository, id, session } = upload;
    try {
      if (body.start !== undefined && body.start !== session.offset) {
        const message = `the upload goes on at byte ${session.offset}`;
        throw new RangeInvalid({ repository, id, offset: session.offset }, message);
      }
      await this.#sessions.receive(upload, body, signal);
    } catch (error) {
      await this.#endAfterFailure(upload, afterFailure);
      throw uploadFailure(upload, error);
    }
  }

  async #finish(upload: OpenUpload, digest: Digest, afterFailure: AfterFailure): Promise<Descriptor> {
    try {
      return await this.#finisher.finish(upload, digest);
    } catch (error) {
      if (!(error instanceof DistributionError)) await this.#endAfterFailure(upload, afterFailure);
      throw uploadFailure(upload, error);
    }
  }

  async #endAfterFailure(upload: OpenUpload, how: AfterFailure): Promise<void> {
    if (how === 'leave') await this.#sessions.leaveAfterFailure(upload);
    else await this.#sessions.discardAfterFailure(upload);
  }

  /** The session is gone: either this request is repeated because its answer was lost, or it never was. */
  async #completeAgain(
    repository: RepositoryName,
    id: UploadId,
    digest: Digest,
    call: ServiceCall,
  ): Promise<Descriptor> {
    const sealed = await this.#finisher.finishSealed({ repository, id }, digest);
    if (sealed !== undefined) return sealed;
    try {
      return await this.#blobs.stat(repository, digest, call);
    } catch (error) {
      if (error instanceof DistributionError && error.code === 'BLOB_UNKNOWN') throw unknown();
      throw error;
    }
  }
}

/** What becomes of the bytes of a request that fails. */
type AfterFailure = 'leave' | 'discard';

function unknown(message?: string): DistributionError {
  return new DistributionError('BLOB_UPLOAD_UNKNOWN', message === undefined ? {} : { message });
}
