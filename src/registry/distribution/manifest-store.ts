import type { CallOptions, StorageDriver, StorageKey } from '../storage/driver.ts';
import { isStorageError } from '../storage/errors.ts';
import type { Digest } from './digest.ts';
import { KeyedLock } from './keyed-lock.ts';
import { blobDataKey, revisionLinkKey } from './layout.ts';
import { Links } from './links.ts';
import type { RepositoryName } from './names.ts';
import type { ServiceDependencies } from './service-dependencies.ts';

/** Longest manifest that is read: as much as `limits.maxManifestBytes` may ever have allowed. */
const MAX_STORED_MANIFEST_BYTES = 64 << 20;
/** Longer ones are rare, and are read one after the other, so that a few of them do not take all the memory. */
const MANY_AT_A_TIME_BYTES = 4 << 20;

/** What may be read in vain. Nearly all manifests are shorter. */
const MAX_PEEKED_BYTES = 256 << 10;

/** Reads the manifests of repositories from the storage, whatever server has written them. */
export class ManifestStore {
  readonly #storage: StorageDriver;
  readonly #links: Links;
  readonly #logger: ServiceDependencies['logger'];
  readonly #large = new KeyedLock();

  constructor({ storage, logger }: Pick<ServiceDependencies, 'storage' | 'logger'>) {
    this.#storage = storage;
    this.#logger = logger;
    this.#links = new Links(storage, logger);
  }

  /** The digest below which the content is, when the repository has the manifest. Asks the storage every time. */
  async resolve(name: RepositoryName, digest: Digest, call: CallOptions): Promise<Digest | undefined> {
    return this.#links.resolve(revisionLinkKey(name, digest), digest, call);
  }

  /**
   * The content of a manifest that the repository has.
   *
   * @param target what {@link resolve} has returned
   * @returns undefined when the content is missing or too long to be a manifest, which the log tells
   */
  async read(name: RepositoryName, target: Digest, call: CallOptions): Promise<Uint8Array | undefined> {
    const key = blobDataKey(target);
    try {
      const bytes = await this.#get(key, call);
      if (bytes !== undefined) return bytes;
      this.#logger?.warn({ repository: name, digest: target }, 'a manifest has a link and no content');
    } catch (error) {
      if (!isStorageError(error, 'TOO_LARGE')) throw error;
      const bound = MAX_STORED_MANIFEST_BYTES;
      this.#logger?.warn({ repository: name, digest: target, bound }, 'a manifest is too long to be served');
    }
    return undefined;
  }

  /**
   * The content before it is known whether the repository has it, for who looks for the link at the same time.
   *
   * @returns undefined when there is none, or it is long; {@link read} tells more
   */
  async peek(digest: Digest, call: CallOptions): Promise<Uint8Array | undefined> {
    try {
      return await this.#storage.get(blobDataKey(digest), MAX_PEEKED_BYTES, call);
    } catch (error) {
      if (isStorageError(error, 'TOO_LARGE')) return undefined;
      throw error;
    }
  }

  /** Whether exactly these bytes are stored there; damaged content counts as absent. */
  async holds(key: StorageKey, bytes: Uint8Array, call: CallOptions): Promise<boolean> {
    try {
      const stored = await this.#storage.get(key, bytes.byteLength, call);
      return stored !== undefined && Buffer.compare(stored, bytes) === 0;
    } catch (error) {
      if (!isStorageError(error, 'TOO_LARGE')) throw error;
      return false;
    }
  }

  async #get(key: ReturnType<typeof blobDataKey>, call: CallOptions): Promise<Uint8Array | undefined> {
    try {
      return await this.#storage.get(key, MANY_AT_A_TIME_BYTES, call);
    } catch (error) {
      if (!isStorageError(error, 'TOO_LARGE')) throw error;
    }
    return this.#large.run('', () => this.#storage.get(key, MAX_STORED_MANIFEST_BYTES, call));
  }
}
