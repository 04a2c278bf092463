import type { StorageDriver, StorageKey } from '../storage/driver.ts';
import { blobDescriptor } from './blob-service.ts';
import type { Descriptor } from './descriptor.ts';
import { algorithmOf, type Digest } from './digest.ts';
import type { Digester, Digesters, StreamDigests } from './digester.ts';
import { DistributionError } from './errors.ts';
import { blobDataKey, listedKey, uploadPrefix, uploadSealedKey, uploadStartedKey } from './layout.ts';
import { Links } from './links.ts';
import type { ServiceDependencies, ServiceLogger } from './service-dependencies.ts';
import type { OpenUpload, UploadSite } from './upload-sessions.ts';

/**
 * Turns complete uploads into blobs: verifies the digest, makes the content visible below its sha256, links it
 * into the repository and removes the traces of the session, in this order.
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
    const target =
      known?.[algorithmOf(digest)] === undefined
        ? await this.#storeByReading(upload, digest)
        : await this.#storeKnown(upload, digest, known);
    await this.#links.linkLayer(upload.repository, digest, target, {});
    await this.removeTraces(upload);
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
    const target = await this.#storeSealed(site, digest);
    await this.#links.linkLayer(site.repository, digest, target, {});
    await this.removeTraces(site);
    return blobDescriptor(digest, stat.size);
  }

  /** Removes everything that is left of a session, files of distribution (`hashstates/`) included. */
  async removeTraces({ repository, id }: UploadSite): Promise<void> {
    const prefix = uploadPrefix(repository, id);
    const { entries } = await this.#storage.list(prefix);
    const started = uploadStartedKey(repository, id);
    await this.#storage.delete([...entries.map(({ name }) => listedKey(prefix, name)), started]);
  }

  async #knownDigests({ digester, repository }: OpenUpload): Promise<StreamDigests | undefined> {
    try {
      return await digester?.finish();
    } catch (error) {
      this.#logger?.warn({ err: error, repository }, 'hashing an upload once more');
      return undefined;
    }
  }

  async #storeKnown(upload: OpenUpload, digest: Digest, known: StreamDigests): Promise<Digest> {
    if (known[algorithmOf(digest)] !== digest || known.sha256 === undefined) {
      await upload.session.abort();
      await this.removeTraces(upload);
      throw digestMismatch(digest);
    }
    const key = blobDataKey(known.sha256);
    if (await this.#isStored(key, upload.session.offset)) await upload.session.abort();
    else await upload.session.commit(key);
    return known.sha256;
  }

  /**
   * A session cannot be read, so its bytes become an object that nobody else knows, and then a blob. Without
   * `startedat` the session has ended, and a repeated request comes to {@link finishSealed}.
   */
  async #storeByReading(upload: OpenUpload, digest: Digest): Promise<Digest> {
    const { repository, id, session } = upload;
    await session.commit(uploadSealedKey(repository, id));
    await this.#storage.delete([uploadStartedKey(repository, id)]);
    return this.#storeSealed(upload, digest);
  }

  async #storeSealed(site: UploadSite, digest: Digest): Promise<Digest> {
    const sealed = uploadSealedKey(site.repository, site.id);
    const digester = this.#digests.create(['sha256', algorithmOf(digest)]);
    let size: number;
    let found: StreamDigests;
    try {
      await this.#digestObject(sealed, digester);
      size = digester.size;
      found = await digester.finish();
    } finally {
      digester.close();
    }
    if (found[algorithmOf(digest)] !== digest || found.sha256 === undefined) {
      await this.removeTraces(site);
      throw digestMismatch(digest);
    }
    const key = blobDataKey(found.sha256);
    if (!(await this.#isStored(key, size))) await this.#storage.move(sealed, key);
    return found.sha256;
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
