import type { CallOptions, StorageDriver, StorageKey } from '../storage/driver.ts';
import { isStorageError } from '../storage/errors.ts';
import { algorithmOf, type Digest, isDigest } from './digest.ts';
import { layerLinkKey, MAX_LINK_BYTES } from './layout.ts';
import type { RepositoryName } from './names.ts';
import type { ServiceLogger } from './service-dependencies.ts';

/**
 * Reads and writes link files: small objects whose content is a digest. A link that is empty or holds
 * anything else (a crash of older servers leaves such files) counts as absent, and is reported to the log.
 */
export class Links {
  readonly #storage: StorageDriver;
  readonly #logger: ServiceLogger | undefined;

  constructor(storage: StorageDriver, logger: ServiceLogger | undefined) {
    this.#storage = storage;
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
   * Makes stored content a blob of the repository.
   *
   * @param digest as the client names it
   * @param target the digest below which the content is stored
   */
  async linkLayer(name: RepositoryName, digest: Digest, target: Digest, call: CallOptions): Promise<void> {
    if (target !== digest) await this.write(layerLinkKey(name, target), target, call);
    await this.write(layerLinkKey(name, digest), target, call);
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
