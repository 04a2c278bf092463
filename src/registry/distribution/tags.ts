import type { CallOptions, StorageDriver } from '../storage/driver.ts';
import { mapConcurrently } from './concurrency.ts';
import type { Digest } from './digest.ts';
import { KeyedLock } from './keyed-lock.ts';
import { listedKey, tagCurrentKey, tagIndexKey, tagPrefix, tagsPrefix } from './layout.ts';
import { Links } from './links.ts';
import type { RepositoryName, Tag } from './names.ts';
import { orderedFolders } from './ordered-folders.ts';
import { isTag } from './reference.ts';
import type { ServiceLogger } from './service-dependencies.ts';

/** Tags whose target is read at the same time. */
const CONCURRENCY = 16;

/**
 * The tags of repositories as files. Nothing is cached: another replica may move a tag at any time, and the
 * next reader has to see it.
 */
export class Tags {
  readonly #storage: StorageDriver;
  readonly #links: Links;
  /** Other replicas are not kept away; a tag that one of them moves at that very moment may go all the same. */
  readonly #moving = new KeyedLock();

  constructor(storage: StorageDriver, logger: ServiceLogger | undefined) {
    this.#storage = storage;
    this.#links = new Links(storage, logger);
  }

  /** @returns the digest that the tag points to, or undefined when there is no such tag */
  async resolve(name: RepositoryName, tag: Tag, call: CallOptions): Promise<Digest | undefined> {
    return this.#links.read(tagCurrentKey(name, tag), call);
  }

  /** Points the tag to a manifest that exists. The history is written before the tag moves. */
  async point(name: RepositoryName, tag: Tag, digest: Digest, call: CallOptions): Promise<void> {
    await this.#moving.run(`${name}:${tag}`, async () => {
      await this.#links.write(tagIndexKey(name, tag, digest), digest, call);
      await this.#links.write(tagCurrentKey(name, tag), digest, call);
    });
  }

  /** Removes the tag first, then its history. @returns false when there was nothing */
  async delete(name: RepositoryName, tag: Tag, call: CallOptions): Promise<boolean> {
    const prefix = tagPrefix(name, tag);
    const current = tagCurrentKey(name, tag);
    let found = false;
    for (;;) {
      const page = await this.#storage.list(prefix, call);
      if (page.entries.length === 0) return found;
      found = true;
      await this.#storage.delete([current], call);
      await this.#storage.delete(
        page.entries.map((entry) => listedKey(prefix, entry.name)),
        call,
      );
      if (!page.more) return true;
    }
  }

  /** Removes every tag that points to the manifest, but none that is moved to another one meanwhile. */
  async deletePointingTo(name: RepositoryName, digest: Digest, call: CallOptions): Promise<void> {
    const tags = this.walk(name, { last: '', pageSize: 1000 }, call);
    await mapConcurrently(tags, CONCURRENCY, async (tag) => {
      await this.#moving.run(`${name}:${tag}`, async () => {
        if ((await this.resolve(name, tag, call)) === digest) await this.delete(name, tag, call);
      });
    });
  }

  /** All tags in byte order, read lazily. */
  async *walk(
    name: RepositoryName,
    { last, pageSize }: { readonly last: string; readonly pageSize: number },
    call: CallOptions,
  ): AsyncGenerator<Tag> {
    const scan = {
      prefix: tagsPrefix(name),
      last,
      pageSize,
      exists: async (text: string) => isTag(text) && (await this.#exists(name, text, call)),
    };
    for await (const visit of orderedFolders(this.#storage, scan, call)) {
      if (visit.kind === 'self' && isTag(visit.name)) yield visit.name;
    }
  }

  async #exists(name: RepositoryName, tag: Tag, call: CallOptions): Promise<boolean> {
    const { entries } = await this.#storage.list(tagPrefix(name, tag), { ...call, limit: 1 });
    return entries.length > 0;
  }
}
