import type { StorageDriver, StorageKey } from '../storage/driver.ts';
import { isStorageError } from '../storage/errors.ts';
import { blobDescriptor } from './blob-service.ts';
import type { Descriptor } from './descriptor.ts';
import { algorithmOf, type Digest } from './digest.ts';
import type { Digester, Digesters, StreamDigests } from './digester.ts';
import { DistributionError } from './errors.ts';
import {
  blobDataKey,
  listedKey,
  uploadDataKey,
  uploadPrefix,
  uploadSealedKey,
  uploadStartedKey,
  uploadWholeKey,
} from './layout.ts';
import { Links } from './links.ts';
import type { ServiceDependencies, ServiceLogger } from './service-dependencies.ts';
import type { OpenUpload, UploadSite } from './upload-sessions.ts';

/**
 * Turns complete uploads into blobs. The steps are in an order that lets a repeated request go on after a crash
 * or a failure of any of them:
 *
 * 1. The digest is verified.
 * 2. The link is written. Without content it makes nothing visible.
 * 3. `startedat` goes. From here on a session without bytes is one that has ended, and not one that nothing was
 *    sent to.
 * 4. The content gets its final key, and is visible.
 * 5. What is left of the session is removed.
 *
 * Where a repeated request brings every byte again, the content comes before the link, and `startedat` last.
 */
export class UploadFinisher {
  readonly #storage: StorageDriver;
  readonly #digests: Digesters;
  readonly #links: Links;
  readonly #logger: ServiceLogger | undefined;

  constructor({ storage, digests, logger }: Pick<ServiceDependencies, 'storage' | 'digests' | 'logger'>) {
    this.#storage = storage;
    this.#digests = digests;
    this.#links = new Links(storage, logger);
    this.#logger = logger;
  }

  /**
   * Ends the session, whatever comes of it but a failing storage. Takes no signal: from here on the client
   * could only make the work useless.
   *
   * @throws DistributionError DIGEST_INVALID, after discarding everything
   */
  async finish(upload: OpenUpload, digest: Digest): Promise<Descriptor> {
    const size = upload.session.offset;
    const known = await this.#knownDigests(upload);
    if (known?.[algorithmOf(digest)] === undefined) await this.#storeByReading(upload, digest);
    else await this.#storeKnown(upload, digest, known);
    await this.#tidy(upload);
    return blobDescriptor(digest, size);
  }

  /**
   * Goes on where a crash interrupted {@link finish} after the session had ended.
   *
   * @returns undefined when there is nothing to go on with
   */
  async finishSealed(site: UploadSite, digest: Digest): Promise<Descriptor | undefined> {
    const stat = await this.#storage.stat(uploadSealedKey(site.repository, site.id));
    if (stat === undefined) return undefined;
    await this.#storeSealed(site, digest);
    await this.#tidy(site);
    return blobDescriptor(digest, stat.size);
  }

  /** Removes everything that is left of a session, files of distribution (`hashstates/`) included. */
  async removeTraces({ repository, id }: UploadSite): Promise<void> {
    const found = await this.#tracesOf({ repository, id });
    // Also those that no list shows: the storage may keep something beside unfinished bytes.
    const own = [uploadStartedKey, uploadDataKey, uploadWholeKey].map((keyOf) => keyOf(repository, id));
    await this.#storage.delete([...new Set([...found, ...own])]);
  }

  /** The blob is there; what cannot be removed now is removed by the purge. */
  async #tidy(site: UploadSite): Promise<void> {
    try {
      const found = await this.#tracesOf(site);
      if (found.length > 0) await this.#storage.delete(found);
    } catch (error) {
      this.#logger?.warn({ err: error, repository: site.repository }, 'traces of an upload were left behind');
    }
  }

  async #tracesOf({ repository, id }: UploadSite): Promise<StorageKey[]> {
    const prefix = uploadPrefix(repository, id);
    const { entries } = await this.#storage.list(prefix);
    return entries.map(({ name }) => listedKey(prefix, name));
  }

  async #knownDigests({ digester, repository }: OpenUpload): Promise<StreamDigests | undefined> {
    try {
      return await digester?.finish();
    } catch (error) {
      this.#logger?.warn({ err: error, repository }, 'hashing an upload once more');
      return undefined;
    }
  }

  async #storeKnown(upload: OpenUpload, digest: Digest, known: StreamDigests): Promise<void> {
    const { repository, session, resumable } = upload;
    const target = known.sha256;
    if (known[algorithmOf(digest)] !== digest || target === undefined) {
      await session.abort();
      await this.removeTraces(upload);
      throw digestMismatch(digest);
    }
    const link = async (): Promise<void> => this.#links.linkLayer(repository, digest, target, {});
    if (resumable) {
      await link();
      await this.#forgetStart(upload);
    }
    const key = blobDataKey(target);
    if (await this.#isStored(key, session.offset)) await this.#abort(upload);
    else await session.commit(key);
    if (!resumable) await link();
  }

  /** A session cannot be read, so its bytes become an object that nobody else knows, and then a blob. */
  async #storeByReading(upload: OpenUpload, digest: Digest): Promise<void> {
    if (upload.resumable) await this.#forgetStart(upload);
    await upload.session.commit(uploadSealedKey(upload.repository, upload.id));
    await this.#storeSealed(upload, digest);
  }

  async #storeSealed(site: UploadSite, digest: Digest): Promise<void> {
    const sealed = uploadSealedKey(site.repository, site.id);
    const { size, digests: found } = await this.#digestsOf(sealed, digest);
    const target = found.sha256;
    if (found[algorithmOf(digest)] !== digest || target === undefined) {
      await this.removeTraces(site);
      throw digestMismatch(digest);
    }
    await this.#links.linkLayer(site.repository, digest, target, {});
    const key = blobDataKey(target);
    if (!(await this.#isStored(key, size))) await this.#move(sealed, key);
  }

  /** A repeated request that comes to another replica does the same at the same time. */
  async #move(sealed: StorageKey, key: StorageKey): Promise<void> {
    try {
      await this.#storage.move(sealed, key);
    } catch (error) {
      if (!isStorageError(error, 'NOT_FOUND')) throw error;
      if ((await this.#storage.stat(key)) === undefined) throw new DistributionError('BLOB_UPLOAD_UNKNOWN');
    }
  }

  async #forgetStart({ repository, id }: UploadSite): Promise<void> {
    await this.#storage.delete([uploadStartedKey(repository, id)]);
  }

  async #abort({ session, repository }: OpenUpload): Promise<void> {
    try {
      await session.abort();
    } catch (error) {
      this.#logger?.warn({ err: error, repository }, 'bytes of an upload were left behind');
    }
  }

  async #digestsOf(key: StorageKey, digest: Digest): Promise<{ size: number; digests: StreamDigests }> {
    const digester = this.#digests.create(['sha256', algorithmOf(digest)]);
    try {
      await this.#digestObject(key, digester);
      return { size: digester.size, digests: await digester.finish() };
    } finally {
      digester.close();
    }
  }

  async #digestObject(key: StorageKey, digester: Digester): Promise<void> {
    const reader = await this.#storage.open(key);
    if (reader === undefined) throw new DistributionError('BLOB_UPLOAD_UNKNOWN');
    try {
      for (let view = await reader.read(); view !== undefined; view = await reader.read()) {
        await digester.update(view);
      }
    } finally {
      await reader.close();
    }
  }

  /** Content of this digest and size is there already: another repository pushed it. */
  async #isStored(key: StorageKey, size: number): Promise<boolean> {
    const stat = await this.#storage.stat(key);
    return stat?.size === size;
  }
}

function digestMismatch(digest: Digest): DistributionError {
  return new DistributionError('DIGEST_INVALID', {
    message: 'the uploaded content has another digest',
    detail: { digest },
  });
}
