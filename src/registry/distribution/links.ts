import type { CallOptions, StorageDriver, StorageKey } from '../storage/driver.ts';
import { isStorageError } from '../storage/errors.ts';
import { algorithmOf, type Digest, isDigest } from './digest.ts';
import { catalogKey, holderKey, layerLinkKey, MAX_LINK_BYTES, revisionLinkKey } from './layout.ts';
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
   * Makes stored content a blob of the repository, and notes both in the indexes.
   *
   * @param digest as the client names it
   * @param target the digest below which the content is stored
   */
  async linkLayer(name: RepositoryName, digest: Digest, target: Digest, call: CallOptions): Promise<void> {
    if (target !== digest) await this.#linkLayer(name, target, target, call);
    await this.#linkLayer(name, digest, target, call);
  }

  /**
   * Makes stored content a manifest of the repository, and notes the repository in the index.
   *
   * The entry comes after the link: who removes it looks for links afterwards, so that either sees the other,
   * and what was pushed as a whole is listed. The entry is there nearly always, from the layers.
   */
  async linkRevision(name: RepositoryName, digest: Digest, call: CallOptions): Promise<void> {
    await this.write(revisionLinkKey(name, digest), digest, call);
    await this.#noteRepository(name, call);
  }

  /** At the same time, because each takes as long as the other; should an entry be lost, a later link notes it. */
  async #linkLayer(name: RepositoryName, digest: Digest, target: Digest, call: CallOptions): Promise<void> {
    await settled([
      this.write(layerLinkKey(name, digest), target, call),
      this.#storage.put(holderKey(digest, name), EMPTY, call),
      this.#noteRepository(name, call),
    ]);
  }

  /** Looks every time: another replica may have deleted the repository since this one last knew it. */
  async #noteRepository(name: RepositoryName, call: CallOptions): Promise<void> {
    const key = catalogKey(name);
    if ((await this.#storage.stat(key, call)) === undefined) await this.#storage.put(key, EMPTY, call);
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

/** An entry of an index says everything by its key. */
const EMPTY = new Uint8Array();

/** Waits for the end of all, so that nothing is written any more when a failure is told. */
async function settled(tasks: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(tasks)).find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
