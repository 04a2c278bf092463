import type { StorageDriver } from '../storage/driver.ts';
import { isStorageError } from '../storage/errors.ts';
import { abandonedUploads, isAbandoned } from './abandoned-uploads.ts';
import { BlobService } from './blob-service.ts';
import { assertFits, BlobTooLarge } from './blob-too-large.ts';
import type { Descriptor } from './descriptor.ts';
import { algorithmOf, type Digest, type DigestAlgorithm } from './digest.ts';
import { DistributionError, RangeInvalid, type UploadStatus } from './errors.ts';
import { ROOT_PREFIX, uploadStartedKey } from './layout.ts';
import type { RepositoryName, UploadId } from './names.ts';
import { parseUploadId } from './reference.ts';
import type { ServiceCall, ServiceDependencies } from './service-dependencies.ts';
import type { UploadBody } from './upload-body.ts';
import { UploadFinisher } from './upload-finisher.ts';
import { resumeLastBytes } from './upload-last-bytes.ts';
import { type OpenUpload, uploadFailure, UploadSessions, type UploadSite } from './upload-sessions.ts';

export type { UploadStatus } from './errors.ts';
export type { UploadBody } from './upload-body.ts';
export type { UploadSite } from './upload-sessions.ts';

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
  readonly #logger: ServiceDependencies['logger'];

  constructor(dependencies: ServiceDependencies) {
    this.#storage = dependencies.storage;
    this.#clock = dependencies.clock;
    this.#ids = dependencies.ids;
    this.#blobs = new BlobService(dependencies);
    this.#sessions = new UploadSessions(dependencies);
    this.#finisher = new UploadFinisher(dependencies);
    this.#logger = dependencies.logger;
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
    return this.#sessions.hold({ repository, id }, call.signal, async (upload, signal) => {
      if (upload === undefined) throw unknown();
      await this.#receive(upload, body, signal);
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
    await this.#remove(site, async (upload) => {
      if (upload === undefined && !(await this.#sessions.isStarted(site))) throw unknown();
      return true;
    });
  }

  /**
   * Takes the last bytes, if any, and makes the upload a blob of the repository. Repeating a call that
   * succeeded succeeds, without reading the body. So can a call be repeated that failed at any point, or whose
   * server died: of a body that brings everything nothing is kept, and of one that brings the last bytes it is
   * known where it began.
   *
   * @throws DistributionError DIGEST_INVALID (the session is gone then), BLOB_UPLOAD_UNKNOWN, SIZE_INVALID;
   *   RangeInvalid (the session stays)
   */
  async complete(
    site: UploadSite,
    digest: Digest,
    body: UploadBody | undefined,
    call: ServiceCall,
  ): Promise<Descriptor> {
    const work = async (upload: OpenUpload | undefined, signal: AbortSignal): Promise<Descriptor> => {
      if (upload === undefined) return this.#completeAgain(site, digest, call);
      if (body !== undefined) await this.#receiveLast(upload, body, signal);
      return this.#finish(upload, digest);
    };
    const isWhole = body !== undefined && body.start === undefined;
    if (!isWhole) return this.#sessions.hold(site, call.signal, work);
    return this.#sessions.holdForWhole(site, { algorithm: algorithmOf(digest), client: call.signal }, work);
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
    assertFits(0, body);
    const site = { repository, id: parseUploadId(this.#ids.uuid()) };
    const how = { algorithm: algorithmOf(digest), client: call.signal };
    return this.#sessions.holdNew(site, how, async (upload, signal) => {
      await this.#receive(upload, body, signal);
      return this.#finish(upload, digest);
    });
  }

  /**
   * Removes sessions that were started, and as far as the storage can tell last written to, before a moment, and
   * what the storage keeps of unfinished writes besides. Sessions in use stay, those of other replicas too.
   *
   * @returns how many were removed
   */
  async purge(olderThan: Date, call: ServiceCall): Promise<number> {
    let removed = 0;
    for await (const site of abandonedUploads(this.#storage, olderThan, call)) {
      if (this.#sessions.isHeld(site)) continue;
      // Looked at once more by who holds it: a client may have come back meanwhile.
      const isStill = async (): Promise<boolean> => isAbandoned(this.#storage, site, olderThan, call);
      if (await this.#purgeOne(site, isStill)) removed++;
    }
    return removed + (await this.#storage.sweepUnfinished(ROOT_PREFIX, olderThan, call));
  }

  /** Interrupts what is going on, keeps what arrived, and lets other replicas go on with it. */
  async close(): Promise<void> {
    await this.#sessions.close(new DistributionError('UNAVAILABLE', { message: 'the server is stopping' }));
  }

  /** A session that cannot be removed keeps none of the others. */
  async #purgeOne(site: UploadSite, isStill: () => Promise<boolean>): Promise<boolean> {
    try {
      return await this.#remove(site, isStill);
    } catch (error) {
      if (!(error instanceof RangeInvalid)) {
        this.#logger?.warn({ err: error, ...site }, 'an abandoned upload could not be removed');
      }
      return false;
    }
  }

  /** @param wanted asked when nobody else can use the session */
  async #remove(
    site: UploadSite,
    wanted: (upload: OpenUpload | undefined) => Promise<boolean>,
  ): Promise<boolean> {
    try {
      return await this.#sessions.holdExisting(site, async (upload) => {
        if (await this.#isWanted(upload, wanted)) {
          await this.#forget(site, upload);
          return true;
        }
        if (upload !== undefined) await this.#sessions.leave(upload);
        return false;
      });
    } catch (error) {
      // A full file system has no room for a lock, and this is what gives it room.
      if (!isStorageError(error, 'NO_SPACE')) throw error;
      await this.#finisher.removeTraces(site);
      return true;
    }
  }

  /** A session whose question fails is left as it is, so that others can use it. */
  async #isWanted(
    upload: OpenUpload | undefined,
    wanted: (upload: OpenUpload | undefined) => Promise<boolean>,
  ): Promise<boolean> {
    try {
      return await wanted(upload);
    } catch (error) {
      if (upload !== undefined) await this.#sessions.endAfterFailure(upload);
      throw error;
    }
  }

  async #forget(site: UploadSite, upload: OpenUpload | undefined): Promise<void> {
    upload?.digester?.close();
    await upload?.session.abort();
    await this.#finisher.removeTraces(site);
  }

  /** The last bytes of an upload; a repeated request brings again what an interrupted one has brought already. */
  async #receiveLast(upload: OpenUpload, body: UploadBody, signal: AbortSignal): Promise<void> {
    if (!upload.resumable || body.start !== undefined) return this.#receive(upload, body, signal);
    let rest: UploadBody;
    try {
      rest = await resumeLastBytes(this.#storage, upload, body);
    } catch (error) {
      await this.#sessions.endAfterFailure(upload);
      throw error;
    }
    return this.#receive(upload, rest, signal);
  }

  async #receive(upload: OpenUpload, body: UploadBody, signal: AbortSignal): Promise<void> {
    const { repository, id, session } = upload;
    try {
      if (body.start !== undefined && body.start !== session.offset) {
        const message = `the upload goes on at byte ${session.offset}`;
        throw new RangeInvalid({ repository, id, offset: session.offset }, message);
      }
      assertFits(session.offset, body);
      await this.#sessions.receive(upload, body, signal);
    } catch (error) {
      if (error instanceof BlobTooLarge && error.began) await this.#forget(upload, upload);
      else await this.#sessions.endAfterFailure(upload);
      throw uploadFailure(upload, error);
    }
  }

  async #finish(upload: OpenUpload, digest: Digest): Promise<Descriptor> {
    try {
      return await this.#finisher.finish(upload, digest);
    } catch (error) {
      // The digest was taken, so it cannot go on.
      const rest = { ...upload, digester: undefined };
      if (!(error instanceof DistributionError)) await this.#sessions.endAfterFailure(rest);
      throw uploadFailure(upload, error);
    }
  }

  /** The session is gone: either this request is repeated because its answer was lost, or it never was. */
  async #completeAgain(site: UploadSite, digest: Digest, call: ServiceCall): Promise<Descriptor> {
    const sealed = await this.#finisher.finishSealed(site, digest);
    if (sealed !== undefined) return sealed;
    try {
      return await this.#blobs.stat(site.repository, digest, call);
    } catch (error) {
      if (error instanceof DistributionError && error.code === 'BLOB_UNKNOWN') throw unknown();
      throw error;
    }
  }
}

function unknown(message?: string): DistributionError {
  return new DistributionError('BLOB_UPLOAD_UNKNOWN', message === undefined ? {} : { message });
}
