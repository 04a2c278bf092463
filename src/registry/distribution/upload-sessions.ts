import type { StorageDriver, StorageKey, WriteSession, WriteToken } from '../storage/driver.ts';
import { isStorageError } from '../storage/errors.ts';
import type { DigestAlgorithm } from './digest.ts';
import type { Digester, Digesters } from './digester.ts';
import { DistributionError, RangeInvalid, type UploadStatus } from './errors.ts';
import { uploadDataKey, uploadStartedKey, uploadWholeKey } from './layout.ts';
import type { RepositoryName, UploadId } from './names.ts';
import type { ServiceDependencies, ServiceLogger } from './service-dependencies.ts';
import { receive, type UploadBody } from './upload-body.ts';
import { type UploadLock, UploadLocks } from './upload-locks.ts';
import { UploadMemory } from './upload-memory.ts';

/** Which upload session of which repository. */
export interface UploadSite {
  readonly repository: RepositoryName;
  readonly id: UploadId;
}

/** An upload that one request holds. */
export interface OpenUpload extends UploadSite {
  readonly session: WriteSession;
  /** Undefined when this process has not seen every byte of it. */
  readonly digester: Digester | undefined;
  /** Whether a later request finds these bytes again. Those of a request that brings all of them are not kept. */
  readonly resumable: boolean;
}

/** What a request does with the session it holds, until the signal says that nobody wants it any more. */
type Work<U, T> = (upload: U, signal: AbortSignal) => Promise<T>;

interface LockRequest {
  readonly site: UploadSite;
  /** Only looks at the session. */
  readonly inspecting?: boolean;
  /** Aborted when the client has left. */
  readonly client?: AbortSignal;
}

/**
 * Opens and suspends upload sessions: one request at a time per session, with the running digest where this
 * process has seen every byte.
 */
export class UploadSessions {
  readonly #storage: StorageDriver;
  readonly #digests: Digesters;
  readonly #logger: ServiceLogger | undefined;
  readonly #locks = new UploadLocks();
  readonly #memory = new UploadMemory();
  #closed = false;

  constructor({ storage, digests, logger }: Pick<ServiceDependencies, 'storage' | 'digests' | 'logger'>) {
    this.#storage = storage;
    this.#digests = digests;
    this.#logger = logger;
  }

  /** Digests a session that is about to start with further algorithms than sha256. */
  expect(site: UploadSite, algorithm: DigestAlgorithm): void {
    if (algorithm === 'sha256') return;
    this.#memory.keep(keyOf(site), { digester: this.#digester(algorithm), token: undefined });
  }

  /**
   * Runs `work` with the session as its only user; `work` ends the session or {@link leave}s it.
   *
   * @param client aborted when the client has left; who comes back meanwhile waits then
   * @throws RangeInvalid when another request, here or in another process, writes to it
   */
  async hold<T>(site: UploadSite, client: AbortSignal, work: Work<OpenUpload | undefined, T>): Promise<T> {
    return this.#run({ site, client, open: () => this.#openOrCreate(site) }, work);
  }

  /** As {@link hold}, without a session while nothing was sent yet. */
  async holdExisting<T>(site: UploadSite, work: Work<OpenUpload | undefined, T>): Promise<T> {
    return this.#run({ site, open: () => this.#open(site) }, work);
  }

  /** As {@link hold}, for a session that nobody else knows of, and nobody can go on with. */
  async holdNew<T>(
    site: UploadSite,
    { algorithm, client }: { readonly algorithm: DigestAlgorithm; readonly client: AbortSignal },
    work: Work<OpenUpload, T>,
  ): Promise<T> {
    const open = (): Promise<OpenUpload> => this.#createWhole(site, uploadDataKey, algorithm);
    return this.#run({ site, client, open }, work);
  }

  /**
   * As {@link hold}, for a request that brings the whole content if nothing was sent before. Its bytes are kept
   * apart then: a crash leaves none to which the repeated request would add all of them again.
   */
  async holdForWhole<T>(
    site: UploadSite,
    { algorithm, client }: { readonly algorithm: DigestAlgorithm; readonly client: AbortSignal },
    work: Work<OpenUpload | undefined, T>,
  ): Promise<T> {
    const open = async (): Promise<OpenUpload | undefined> => {
      const upload = await this.#openKnown(site);
      if (upload !== undefined || !(await this.isStarted(site))) return upload;
      return this.#createWhole(site, uploadWholeKey, algorithm);
    };
    return this.#run({ site, client, open }, work);
  }

  /** Where the upload stands, also while somebody writes to it. Undefined when there is no such session. */
  async inspect(site: UploadSite): Promise<UploadStatus | undefined> {
    try {
      return await this.#run({ site, inspecting: true, open: () => this.#open(site) }, async (upload) => {
        if (upload !== undefined) return this.leave(upload);
        return (await this.isStarted(site)) ? { ...site, offset: 0 } : undefined;
      });
    } catch (error) {
      if (error instanceof RangeInvalid) return error.upload;
      // A full file system has no room for a lock, but the bytes can be counted.
      const stored = isStorageError(error, 'NO_SPACE') ? await this.#storage.stat(keyOf(site)) : undefined;
      if (stored === undefined) throw error;
      return { ...site, offset: stored.size };
    }
  }

  /** Whether the session was started, and has not ended. */
  async isStarted({ repository, id }: UploadSite): Promise<boolean> {
    return (await this.#storage.stat(uploadStartedKey(repository, id))) !== undefined;
  }

  /** True while a request of this process uses the session. */
  isHeld(site: UploadSite): boolean {
    return this.#locks.holder(keyOf(site)) !== undefined;
  }

  /** Makes the request that holds the session give up, and waits until it has. */
  async interrupt(site: UploadSite, reason: DistributionError): Promise<void> {
    const holder = this.#locks.holder(keyOf(site));
    holder?.controller.abort(reason);
    await holder?.done;
  }

  /**
   * Adds the bytes of a request to the upload.
   *
   * @throws as {@link receive}
   */
  async receive(upload: OpenUpload, body: UploadBody, signal: AbortSignal): Promise<void> {
    await receive(upload, body, { buffers: this.#digests.buffers, signal });
  }

  /** Makes every byte durable and lets others go on with the session. */
  async leave(upload: OpenUpload): Promise<UploadStatus> {
    const { repository, id, session, digester } = upload;
    let token: WriteToken;
    try {
      token = await session.suspend();
    } catch (error) {
      digester?.close();
      throw error;
    }
    if (digester?.size === session.offset) this.#memory.keep(keyOf(upload), { digester, token });
    else digester?.close();
    return { repository, id, offset: session.offset };
  }

  /**
   * Keeps what a later request can go on with, and forgets the rest, after a failure, which is what the client is
   * told, whatever else fails.
   */
  async endAfterFailure(upload: OpenUpload): Promise<void> {
    if (!upload.resumable) {
      await this.#discard(upload);
      return;
    }
    try {
      await this.leave(upload);
    } catch (error) {
      this.#logger?.warn({ err: error, repository: upload.repository }, 'an upload could not be suspended');
    }
  }

  async #discard(upload: OpenUpload): Promise<void> {
    upload.digester?.close();
    try {
      await upload.session.abort();
    } catch (error) {
      this.#logger?.warn({ err: error, repository: upload.repository }, 'an upload could not be discarded');
    }
  }

  /** Interrupts everything, and waits until every session is suspended. */
  async close(reason: DistributionError): Promise<void> {
    this.#closed = true;
    const active = this.#locks.all();
    for (const { controller } of active) controller.abort(reason);
    await Promise.all(active.map(({ done }) => done));
    this.#memory.clear();
  }

  async #run<U extends OpenUpload | undefined, T>(
    { open, ...request }: LockRequest & { readonly open: () => Promise<U> },
    work: Work<U, T>,
  ): Promise<T> {
    const lock = await this.#lock(request);
    try {
      const upload = await open();
      lock.opened(upload?.session);
      return await work(upload, lock.active.signal);
    } finally {
      lock.release();
    }
  }

  async #lock({ site, inspecting = false, client }: LockRequest): Promise<UploadLock> {
    for (;;) {
      if (this.#closed) throw new DistributionError('UNAVAILABLE', { message: 'the server is stopping' });
      const lock = this.#locks.acquire(keyOf(site), inspecting, client);
      if (lock !== undefined) return lock;
      const writer = await this.#locks.writer(keyOf(site));
      if (writer !== undefined) throw busy(site, writer.session.offset);
    }
  }

  /** The driver gets no signal: the session outlives the request's, because it is suspended after an abort. */
  async #create(site: UploadSite, digester: Digester): Promise<OpenUpload> {
    try {
      return { ...site, session: await this.#storage.startWrite(keyOf(site)), digester, resumable: true };
    } catch (error) {
      digester.close();
      throw isStorageError(error, 'SESSION_BUSY') ? busy(site, 0, error) : error;
    }
  }

  async #createWhole(
    site: UploadSite,
    keyOfBytes: typeof uploadDataKey,
    algorithm: DigestAlgorithm,
  ): Promise<OpenUpload> {
    const { repository, id } = site;
    this.#memory.take(keyOf(site))?.digester.close();
    try {
      const session = await this.#storage.startWrite(keyOfBytes(repository, id));
      return { ...site, session, digester: this.#digester(algorithm), resumable: false };
    } catch (error) {
      throw isStorageError(error, 'SESSION_BUSY') ? busy(site, 0, error) : error;
    }
  }

  async #openOrCreate(site: UploadSite): Promise<OpenUpload | undefined> {
    const upload = await this.#openKnown(site);
    if (upload !== undefined || !(await this.isStarted(site))) return upload;
    return this.#create(site, this.#memory.take(keyOf(site))?.digester ?? this.#digester('sha256'));
  }

  /** As {@link #open}, but what is left of a session that has ended is removed, and counts as nothing. */
  async #openKnown(site: UploadSite): Promise<OpenUpload | undefined> {
    const upload = await this.#open(site);
    if (upload === undefined || upload.session.offset > 0) return upload;
    try {
      if (await this.isStarted(site)) return upload;
    } catch (error) {
      await this.endAfterFailure(upload);
      throw error;
    }
    await this.#discard(upload);
    return undefined;
  }

  /** @returns undefined when there are no bytes yet */
  async #open(site: UploadSite): Promise<OpenUpload | undefined> {
    const remembered = this.#memory.take(keyOf(site));
    try {
      const session = await this.#storage.resumeWrite(keyOf(site), remembered?.token);
      if (session !== undefined) {
        const digester = this.#matching(session, remembered?.digester);
        return { ...site, session, digester, resumable: true };
      }
      if (remembered !== undefined && remembered.token === undefined)
        this.#memory.keep(keyOf(site), remembered);
      else remembered?.digester.close();
      return undefined;
    } catch (error) {
      remembered?.digester.close();
      if (!isStorageError(error, 'SESSION_BUSY')) throw error;
      const partial = await this.#storage.stat(keyOf(site));
      throw busy(site, partial?.size ?? 0, error);
    }
  }

  #matching(session: WriteSession, digester: Digester | undefined): Digester | undefined {
    if (digester?.size === session.offset) return digester;
    digester?.close();
    return session.offset === 0 ? this.#digester('sha256') : undefined;
  }

  /** Content is stored below its sha256, whatever the client names it by. */
  #digester(algorithm: DigestAlgorithm): Digester {
    return this.#digests.create(algorithm === 'sha256' ? ['sha256'] : ['sha256', algorithm]);
  }
}

/** The key of the unfinished bytes also stands for the session. */
function keyOf({ repository, id }: UploadSite): StorageKey {
  return uploadDataKey(repository, id);
}

/** What a client is told of a failure while it had the session: a lost race is a range that does not fit. */
export function uploadFailure(upload: OpenUpload, error: unknown): unknown {
  return isStorageError(error, 'SESSION_BUSY') ? busy(upload, upload.session.offset, error) : error;
}

function busy({ repository, id }: UploadSite, offset: number, cause?: unknown): RangeInvalid {
  const message = 'another request is writing to this upload';
  return new RangeInvalid({ repository, id, offset }, message, { cause });
}
