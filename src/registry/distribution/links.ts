import type { CallOptions, StorageDriver, StorageKey } from '../storage/driver.ts';
import { isStorageError } from '../storage/errors.ts';
import { CatalogIndex } from './catalog-index.ts';
import { settled } from './concurrency.ts';
import { algorithmOf, type Digest, isDigest } from './digest.ts';
import { HolderIndex } from './holder-index.ts';
import { layerLinkKey, MAX_LINK_BYTES, revisionLinkKey } from './layout.ts';
import type { RepositoryName } from './names.ts';
import type { ServiceLogger } from './service-dependencies.ts';

/**
 * Reads and writes link files: small objects whose content is a digest. A link that is empty or holds
 * anything else (a crash of older servers leaves such files) counts as absent, and is reported to the log.
 */
export class Links {
  readonly #storage: StorageDriver;
  readonly #catalog: CatalogIndex;
  readonly #holders: HolderIndex;
  readonly #logger: ServiceLogger | undefined;

  constructor(storage: StorageDriver, logger: ServiceLogger | undefined) {
    this.#storage = storage;
    this.#catalog = new CatalogIndex(storage);
    this.#holders = new HolderIndex(storage);
    this.#logger = logger;
  }

  /** @returns the digest that the link holds, or undefined when there is no sound link */
  async read(key: StorageKey, call: CallOptions): Promise<Digest | undefined> {
    const text = await this.#readText(key, call);
    if (text === undefined) return undefined;
    if (isDigest(text)) return text;
    this.#logger?.warn({ key }, 'ignoring a corrupt link');
    return undefined;
  }

  /**
   * The digest under which the content of `digest` is stored, when the link exists.
   *
   * A sha256 link holds the digest of its own path, so a stat is enough; a sha512 link is read, because blobs
   * are stored below their sha256.
   */
  async resolve(key: StorageKey, digest: Digest, call: CallOptions): Promise<Digest | undefined> {
    if (algorithmOf(digest) !== 'sha256') return this.read(key, call);
    const stat = await this.#storage.stat(key, call);
    if (stat === undefined) return undefined;
    if (stat.size === digest.length) return digest;
    this.#logger?.warn({ key }, 'ignoring a corrupt link');
    return undefined;
  }

  async write(key: StorageKey, digest: Digest, call: CallOptions): Promise<void> {
    await this.#storage.put(key, Buffer.from(digest, 'ascii'), call);
  }

  /**
   * Makes stored content a blob of the repository, and notes both in the indexes.
   *
   * @param digest as the client names it
   * @param target the digest below which the content is stored
   */
  async linkLayer(name: RepositoryName, digest: Digest, target: Digest, call: CallOptions): Promise<void> {
    if (target !== digest) await this.#linkLayer(name, target, target, call);
    await this.#linkLayer(name, digest, target, call);
  }

  /** Makes stored content a manifest of the repository, which is noted by {@link noteRepository} then. */
  async linkRevision(name: RepositoryName, digest: Digest, call: CallOptions): Promise<void> {
    await this.write(revisionLinkKey(name, digest), digest, call);
  }

  /**
   * Notes in the index that the repository has content. Call it after a manifest has its link: who removes the
   * entry looks for links afterwards, so that either sees the other, and what was pushed as a whole is listed. The
   * entry is there nearly always, from the layers.
   */
  async noteRepository(name: RepositoryName, call: CallOptions): Promise<void> {
    await this.#catalog.note(name, call);
  }

  /** Removes a blob from the repository, and from the indexes; the content stays. */
  async unlinkLayer(name: RepositoryName, digest: Digest, call: CallOptions): Promise<void> {
    await this.#storage.delete([layerLinkKey(name, digest)], call);
    await settled([this.#holders.forgetIfGone(name, digest, call), this.#catalog.forgetIfGone(name, call)]);
  }

  /** Removes a manifest from the repository, and the repository from the index when it was the last content. */
  async unlinkRevision(name: RepositoryName, digest: Digest, call: CallOptions): Promise<void> {
    await this.#storage.delete([revisionLinkKey(name, digest)], call);
    await this.#catalog.forgetIfGone(name, call);
  }

  /**
   * All at the same time, so that a push takes no longer for the entries. One that a deletion of that very
   * moment takes away is written again with the next link or by the comparison of the indexes.
   */
  async #linkLayer(name: RepositoryName, digest: Digest, target: Digest, call: CallOptions): Promise<void> {
    await settled([
      this.write(layerLinkKey(name, digest), target, call),
      this.#holders.add(name, digest, call),
      this.#catalog.note(name, call),
    ]);
  }

  async #readText(key: StorageKey, call: CallOptions): Promise<string | undefined> {
    try {
      const bytes = await this.#storage.get(key, MAX_LINK_BYTES, call);
      return bytes === undefined ? undefined : Buffer.from(bytes).toString('latin1');
    } catch (error) {
      if (!isStorageError(error, 'TOO_LARGE')) throw error;
      return '';
    }
  }
}
