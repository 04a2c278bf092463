import type { CallOptions, StorageDriver } from '../storage/driver.ts';
import { mapConcurrently } from './concurrency.ts';
import { type Digest, isDigest } from './digest.ts';
import { KeyedLock } from './keyed-lock.ts';
import { listedKey, revisionLinkKey, tagCurrentKey, tagIndexKey, tagPrefix, tagsPrefix } from './layout.ts';
import { Links } from './links.ts';
import type { RepositoryName, Tag } from './names.ts';
import { orderedFolders } from './ordered-folders.ts';
import { isTag } from './reference.ts';
import type { ServiceLogger } from './service-dependencies.ts';

/** Tags or entries of the history that are read at the same time. */
const CONCURRENCY = 16;
/** How often a tag is pointed somewhere while others delete it. */
const MAX_ATTEMPTS = 5;
/** The target of a tag, relative to its prefix. */
const CURRENT = 'current/link';

/**
 * The tags of repositories as files. Nothing is cached: another replica may move a tag at any time, and the
 * next reader has to see it.
 */
export class Tags {
  readonly #storage: StorageDriver;
  readonly #links: Links;
  /** Keeps this process in order; a tag that another replica moves meanwhile is put back. */
  readonly #moving: KeyedLock;

  constructor(storage: StorageDriver, logger: ServiceLogger | undefined) {
    this.#storage = storage;
    this.#links = new Links(storage, logger);
    this.#moving = lockOf(storage);
  }

  /** @returns the digest that the tag points to, or undefined when there is no such tag */
  async resolve(name: RepositoryName, tag: Tag, call: CallOptions): Promise<Digest | undefined> {
    return this.#links.read(tagCurrentKey(name, tag), call);
  }

  /**
   * Points the tag to a manifest that exists. The history is written before the tag moves. Of a new tag it comes
   * second: whoever died between the two would leave a tag that is listed and points to nothing.
   *
   * Another replica that deletes the tag, or the manifest where it stays, takes the history before the tag. When
   * what was written first has gone in the end, it may be about to take the other too, or has, so both are written
   * again: it looks for such an entry.
   *
   * @param call `linked` resolves when the manifest has its link, and nothing is written before
   */
  async point(
    name: RepositoryName,
    tag: Tag,
    digest: Digest,
    call: CallOptions & { readonly linked?: Promise<void> },
  ): Promise<void> {
    const current = tagCurrentKey(name, tag);
    const entry = tagIndexKey(name, tag, digest);
    await this.#moving.run(`${name}:${tag}`, async () => {
      const [found] = await Promise.all([this.#storage.stat(current, call), call.linked]);
      const [first, second] = found === undefined ? [current, entry] : [entry, current];
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        await this.#links.write(first, digest, call);
        await this.#links.write(second, digest, call);
        if ((await this.#storage.stat(first, call)) !== undefined) return;
      }
    });
  }

  /**
   * Removes the history first: without the tag it would still be listed. Looks for it again in the end: another push
   * that moved the tag meanwhile has written it before the tag that is gone now.
   *
   * @returns false when there was nothing
   */
  async delete(name: RepositoryName, tag: Tag, call: CallOptions): Promise<boolean> {
    return this.#moving.run(`${name}:${tag}`, async () => {
      const found = await this.#keys(name, tag, call);
      if (found.length === 0) return false;
      await this.#deleteHistory(name, tag, withoutCurrent(found), call);
      await this.#storage.delete([tagCurrentKey(name, tag)], call);
      // The tag has gone, so this is done for a client that has left, too.
      const rest = await this.#keys(name, tag, {});
      if (!rest.includes(CURRENT)) await this.#deleteHistory(name, tag, rest, {});
      return true;
    });
  }

  /**
   * Removes what a process has left that died in the middle of removing a tag: history without a target, which is
   * listed and cannot be pulled. Harms nobody who points the tag anywhere meanwhile: of a new tag the target comes
   * first, and history says nothing to clients.
   *
   * @returns whether there was any
   */
  async removeRemains(name: RepositoryName, tag: Tag, call: CallOptions): Promise<boolean> {
    if ((await this.#storage.stat(tagCurrentKey(name, tag), call)) !== undefined) return false;
    return this.#moving.run(`${name}:${tag}`, async () => {
      const found = await this.#keys(name, tag, call);
      if (found.length === 0 || found.includes(CURRENT)) return false;
      await this.#deleteHistory(name, tag, found, call);
      return true;
    });
  }

  /** Removes every tag that points to the manifest, but none that is moved to another one meanwhile. */
  async deletePointingTo(name: RepositoryName, digest: Digest, call: CallOptions): Promise<void> {
    const tags = this.walk(name, { last: '', pageSize: 1000 }, call);
    await mapConcurrently(tags, CONCURRENCY, async (tag) => {
      // Nearly all point elsewhere, and a look is all that they cost.
      if ((await this.resolve(name, tag, call)) !== digest) return;
      await this.#moving.run(`${name}:${tag}`, () => this.#deletePointer(name, { tag, digest }, call));
    });
  }

  /**
   * The storage cannot delete what is still what it was, so that between look and delete another replica may move
   * the tag, see {@link point}. All history goes before the tag: whoever dies leaves no tag that is listed and points
   * to nothing, and what is there afterwards was written by such a move. The tag is put back to where it went.
   */
  async #deletePointer(
    name: RepositoryName,
    { tag, digest }: { readonly tag: Tag; readonly digest: Digest },
    call: CallOptions,
  ): Promise<void> {
    const current = tagCurrentKey(name, tag);
    if ((await this.resolve(name, tag, call)) !== digest) return;
    await this.#deleteHistory(name, tag, await this.#history(name, tag, call), call);
    if ((await this.resolve(name, tag, call)) !== digest) return;
    await this.#storage.delete([current], call);
    // A move must not be lost because the client of this deletion has left.
    const moves = await this.#history(name, tag, {});
    const target = await this.#newestOf(name, { tag, entries: moves, not: digest }, {});
    if (target === undefined) await this.#deleteHistory(name, tag, moves, {});
    else await this.#storage.put(current, Buffer.from(target, 'ascii'), { ifAbsent: true });
  }

  /** The digest of the newest entry whose manifest is there. */
  async #newestOf(
    name: RepositoryName,
    { tag, entries, not }: { readonly tag: Tag; readonly entries: readonly string[]; readonly not: Digest },
    call: CallOptions,
  ): Promise<Digest | undefined> {
    let newest: { readonly digest: Digest; readonly at: number } | undefined;
    await mapConcurrently(entries, CONCURRENCY, async (key) => {
      const digest = digestOfHistory(key);
      if (digest === undefined || digest === not) return;
      const at = (await this.#storage.stat(tagIndexKey(name, tag, digest), call))?.modifiedAt.getTime();
      if (at === undefined || (newest !== undefined && at <= newest.at)) return;
      if ((await this.#storage.stat(revisionLinkKey(name, digest), call)) === undefined) return;
      if (newest === undefined || at > newest.at) newest = { digest, at };
    });
    return newest?.digest;
  }

  /** What the tag has besides its target: an entry for all that it ever pointed to. Relative to its prefix. */
  async #history(name: RepositoryName, tag: Tag, call: CallOptions): Promise<string[]> {
    return withoutCurrent(await this.#keys(name, tag, call));
  }

  /** Everything that the tag has, relative to its prefix. */
  async #keys(name: RepositoryName, tag: Tag, call: CallOptions): Promise<string[]> {
    const keys: string[] = [];
    let after: string | undefined;
    for (;;) {
      const options = { signal: call.signal, ...(after === undefined ? {} : { after }) };
      const page = await this.#storage.list(tagPrefix(name, tag), options);
      keys.push(...page.entries.map((entry) => entry.name));
      after = page.entries.at(-1)?.name;
      if (!page.more || after === undefined) return keys;
    }
  }

  async #deleteHistory(
    name: RepositoryName,
    tag: Tag,
    keys: readonly string[],
    call: CallOptions,
  ): Promise<void> {
    if (keys.length === 0) return;
    const prefix = tagPrefix(name, tag);
    await this.#storage.delete(
      keys.map((key) => listedKey(prefix, key)),
      call,
    );
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
    const { entries } = await this.#storage.list(tagPrefix(name, tag), { signal: call.signal, limit: 1 });
    return entries.length > 0;
  }
}

/** All who change tags of a storage share it. */
const LOCKS = new WeakMap<StorageDriver, KeyedLock>();

function lockOf(storage: StorageDriver): KeyedLock {
  const lock = LOCKS.get(storage) ?? new KeyedLock();
  LOCKS.set(storage, lock);
  return lock;
}

function withoutCurrent(keys: readonly string[]): string[] {
  return keys.filter((key) => key !== CURRENT);
}

/** `index/<algorithm>/<hex>/link` */
function digestOfHistory(key: string): Digest | undefined {
  const [folder, algorithm, hex, file] = key.split('/');
  const digest = `${algorithm}:${hex}`;
  return folder === 'index' && file === 'link' && isDigest(digest) ? digest : undefined;
}
