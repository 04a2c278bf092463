import type { CallOptions, StorageDriver } from '../storage/driver.ts';
import type { Digest } from './digest.ts';
import { decodeName, holderKey, holdersPrefix, layerLinkKey } from './layout.ts';
import type { RepositoryName } from './names.ts';
import { isRepositoryName } from './reference.ts';

/**
 * Which repositories may have a blob: what a mount looks for that names no source. An entry is no proof, so
 * whoever takes one looks for the link.
 */
export class HolderIndex {
  readonly #storage: StorageDriver;

  constructor(storage: StorageDriver) {
    this.#storage = storage;
  }

  /** Writes the entry without looking: it is new nearly always. */
  async add(name: RepositoryName, digest: Digest, call: CallOptions): Promise<void> {
    await this.#storage.put(holderKey(digest, name), new Uint8Array(), {
      signal: call.signal,
      rebuildable: true,
    });
  }

  /**
   * Adds the entry of a repository that has the blob and no entry.
   *
   * @returns whether it was missing
   */
  async note(name: RepositoryName, digest: Digest, call: CallOptions): Promise<boolean> {
    if ((await this.#storage.stat(holderKey(digest, name), call)) !== undefined) return false;
    // Listings of a file system show folders that have lost their link.
    if (!(await this.#isLinked(name, digest, call))) return false;
    await this.add(name, digest, call);
    return !(await this.forgetIfGone(name, digest, call));
  }

  /**
   * Removes the entry when the repository does not have the blob, and looks again after it, as a push may have
   * come in between.
   *
   * @returns whether the repository does not have the blob
   */
  async forgetIfGone(name: RepositoryName, digest: Digest, call: CallOptions): Promise<boolean> {
    if (await this.#isLinked(name, digest, call)) return false;
    await this.#storage.delete([holderKey(digest, name)], call);
    if (!(await this.#isLinked(name, digest, call))) return true;
    await this.add(name, digest, call);
    return false;
  }

  /** The first repositories that may have the blob, in byte order. */
  async candidates(digest: Digest, limit: number, call: CallOptions): Promise<RepositoryName[]> {
    const page = await this.#storage.list(holdersPrefix(digest), {
      signal: call.signal,
      limit,
      delimiter: '/',
    });
    return page.entries.map(({ name }) => decodeName(name)).filter(isRepositoryName);
  }

  async #isLinked(name: RepositoryName, digest: Digest, call: CallOptions): Promise<boolean> {
    return (await this.#storage.stat(layerLinkKey(name, digest), call)) !== undefined;
  }
}
