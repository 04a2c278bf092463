import type { CallOptions, StorageDriver } from '../storage/driver.ts';
import { CATALOG_PREFIX, catalogKey, decodeName, encodeName } from './layout.ts';
import type { RepositoryName } from './names.ts';
import { isRepositoryName } from './reference.ts';
import { repositoryExists } from './repositories.ts';

/** The longest page of the storage's listing. */
const MAX_LISTED = 1000;

export interface NamePage {
  /** In byte order. */
  readonly names: RepositoryName[];
  /** Entries follow after the last one. */
  readonly more: boolean;
}

/**
 * The names of all repositories as one ordered folder of empty objects, so that a page of the catalog is one
 * listing however many repositories there are. An entry is no proof: other servers know nothing of it.
 */
export class CatalogIndex {
  readonly #storage: StorageDriver;

  constructor(storage: StorageDriver) {
    this.#storage = storage;
  }

  /**
   * Sees to it that the repository has its entry. Looks every time: another replica may have deleted the
   * repository since this one last knew it.
   *
   * @returns whether the entry was missing
   */
  async note(name: RepositoryName, call: CallOptions): Promise<boolean> {
    const key = catalogKey(name);
    if ((await this.#storage.stat(key, call)) !== undefined) return false;
    await this.#storage.put(key, new Uint8Array(), { signal: call.signal, rebuildable: true });
    return true;
  }

  /**
   * Removes the entry of a repository that has no content any more. Looks again after it: who pushes writes the
   * link first and the entry then, so that one of the two sees the other.
   *
   * @returns whether the repository is gone
   */
  async forgetIfGone(name: RepositoryName, call: CallOptions): Promise<boolean> {
    if (await repositoryExists(this.#storage, name, call)) return false;
    await this.#storage.delete([catalogKey(name)], call);
    if (!(await repositoryExists(this.#storage, name, call))) return true;
    await this.note(name, call);
    return false;
  }

  /** Whether the repository has an entry. */
  async has(name: RepositoryName, call: CallOptions): Promise<boolean> {
    return (await this.#storage.stat(catalogKey(name), call)) !== undefined;
  }

  /** @param last only names after this text, which need not be a name */
  async page(last: string, limit: number, call: CallOptions): Promise<NamePage> {
    const names: RepositoryName[] = [];
    let after = cursorAfter(last);
    while (names.length < limit) {
      const page = await this.#storage.list(CATALOG_PREFIX, {
        signal: call.signal,
        ...(after === '' ? {} : { after }),
        limit: Math.min(limit - names.length, MAX_LISTED),
        delimiter: '/',
      });
      names.push(...page.entries.map(({ name }) => decodeName(name)).filter(isRepositoryName));
      after = page.entries.at(-1)?.name ?? after;
      if (!page.more) return { names, more: false };
    }
    return { names, more: limit > 0 };
  }

  /** All names in byte order, read lazily. */
  async *walk(call: CallOptions): AsyncGenerator<RepositoryName> {
    for (let last = ''; ;) {
      const { names, more } = await this.page(last, MAX_LISTED, call);
      yield* names;
      last = names.at(-1) ?? last;
      if (!more) return;
    }
  }
}

/** Characters of names, in byte order. */
const NAME_CHARACTERS = '-./0123456789_abcdefghijklmnopqrstuvwxyz'.split('');
/** One more than names have: what is behind it does not matter to their order. */
const MAX_CURSOR = 256;

/**
 * Where the entries of the names after `last` begin: a name comes after `last` if, and only if, its encoded form
 * comes after this. Clients may send any text, and the encoding keeps the order of names only, so the text ends
 * at its first foreign character: with the next lower character of names and what is beyond all of them.
 */
export function cursorAfter(last: string): string {
  const text = last.slice(0, MAX_CURSOR);
  const foreign = text.search(/[^-./0-9_a-z]/);
  if (foreign === -1) return encodeName(text);
  const lower = NAME_CHARACTERS.findLast((character) => character < text.slice(foreign));
  return encodeName(text.slice(0, foreign)) + (lower === undefined ? '' : `${encodeName(lower)}~`);
}
