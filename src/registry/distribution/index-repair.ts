import { setImmediate as nextTurn } from 'node:timers/promises';

import { errorMessage } from '../../shared/errors.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { CatalogIndex } from './catalog-index.ts';
import { mapConcurrently } from './concurrency.ts';
import { type Digest, isDigest } from './digest.ts';
import { HolderIndex } from './holder-index.ts';
import { decodeName, HOLDERS_PREFIX, indexesCompleteKey, layersPrefix } from './layout.ts';
import type { RepositoryName } from './names.ts';
import { isRepositoryName } from './reference.ts';
import type { ReferrerIndex } from './referrer-index.ts';
import { walkRepositories } from './repositories.ts';
import type { ServiceCall, ServiceDependencies } from './service-dependencies.ts';
import { Tags } from './tags.ts';

/** Requests to the storage at the same time: others come first. */
const CONCURRENCY = 8;
/** The mark holds a time, of which 24 characters are used. */
const MAX_MARK_BYTES = 64;
/** After so many repositories in a row that failed, the storage is at fault. */
const MAX_FAILURES = 10;

/** What was amended: an entry that was missing, one that was too much, a repository that was read again. */
export type IndexAction = 'added' | 'removed' | 'rebuilt';
export type IndexName = 'catalog' | 'holders' | 'referrers' | 'tags';

export interface IndexRepairDependencies extends Pick<ServiceDependencies, 'storage' | 'logger'> {
  readonly referrers: Pick<ReferrerIndex, 'isComplete' | 'rebuild'>;
  /** Told of every amendment. */
  readonly onRepair: (index: IndexName, action: IndexAction) => void;
}

/**
 * Compares the indexes with what they are about, and amends them: content that another server wrote has no
 * entries, and one that ended in the middle of a write may leave too few or too many. Everything may be called
 * while pushes and deletions go on, on several replicas too. Reads page by page and keeps no lists.
 */
export class IndexRepair {
  readonly #storage: StorageDriver;
  readonly #logger: ServiceDependencies['logger'];
  readonly #catalog: CatalogIndex;
  readonly #holders: HolderIndex;
  readonly #tags: Tags;
  readonly #referrers: IndexRepairDependencies['referrers'];
  readonly #onRepair: IndexRepairDependencies['onRepair'];

  constructor({ storage, logger, referrers, onRepair }: IndexRepairDependencies) {
    this.#storage = storage;
    this.#logger = logger;
    this.#catalog = new CatalogIndex(storage);
    this.#holders = new HolderIndex(storage);
    this.#tags = new Tags(storage, logger);
    this.#referrers = referrers;
    this.#onRepair = onRepair;
  }

  /** Compares the list of repositories with their folders, both of which come in the same order. */
  async compareCatalog(call: ServiceCall): Promise<void> {
    const folders = walkRepositories(this.#storage, { last: '', pageSize: 1000 }, call);
    for await (const { name, only } of differences(folders, this.#catalog.walk(call))) {
      await nextTurn();
      if (only === 'left') await this.#addRepository(name, call);
      if (only === 'right' && (await this.#catalog.forgetIfGone(name, call)))
        this.#onRepair('catalog', 'removed');
    }
  }

  /**
   * Compares everything else, one repository after the other by the list of {@link compareCatalog}. A repository
   * that cannot be read is left for the next time, so that it does not keep the others from their turn.
   *
   * @throws the failure of the storage when it is not that of single repositories
   */
  async compareContent(call: ServiceCall): Promise<void> {
    let failures = 0;
    for await (const name of this.#catalog.walk(call)) {
      await nextTurn();
      try {
        await this.#compareRepository(name, call);
        failures = 0;
      } catch (error) {
        failures++;
        if (call.signal.aborted || failures >= MAX_FAILURES) throw error;
        this.#logger?.warn(
          { repository: name, error: errorMessage(error) },
          'the indexes could not be compared',
        );
      }
    }
    await mapConcurrently(this.#noted(call), CONCURRENCY, async ({ name, digest }) => {
      if (await this.#holders.forgetIfGone(name, digest, call)) this.#onRepair('holders', 'removed');
    });
  }

  /** When some replica last came to the end of {@link compareContent}; undefined when none ever did. */
  async lastComplete(call: ServiceCall): Promise<Date | undefined> {
    const bytes = await this.#storage.get(indexesCompleteKey(), MAX_MARK_BYTES, call);
    const date = new Date(Buffer.from(bytes ?? []).toString('latin1'));
    return Number.isNaN(date.getTime()) ? undefined : date;
  }

  async markComplete(now: Date, call: ServiceCall): Promise<void> {
    await this.#storage.put(indexesCompleteKey(), Buffer.from(now.toISOString(), 'ascii'), call);
  }

  /** The repository may have been deleted since it was seen. */
  async #addRepository(name: RepositoryName, call: ServiceCall): Promise<void> {
    const added = await this.#catalog.note(name, call);
    if (added && !(await this.#catalog.forgetIfGone(name, call))) this.#onRepair('catalog', 'added');
  }

  async #compareRepository(name: RepositoryName, call: ServiceCall): Promise<void> {
    await mapConcurrently(this.#layers(name, call), CONCURRENCY, async (digest) => {
      if (await this.#holders.note(name, digest, call)) this.#onRepair('holders', 'added');
    });
    const tags = this.#tags.walk(name, { last: '', pageSize: 1000 }, call);
    await mapConcurrently(tags, CONCURRENCY, async (tag) => {
      if (await this.#tags.removeRemains(name, tag, call)) this.#onRepair('tags', 'removed');
    });
    // Also where it is complete: another server may have linked manifests since, and tells nobody of their subjects.
    const wasComplete = await this.#referrers.isComplete(name, call);
    await this.#referrers.rebuild(name, call);
    if (!wasComplete && (await this.#referrers.isComplete(name, call)))
      this.#onRepair('referrers', 'rebuilt');
  }

  async *#layers(name: RepositoryName, call: ServiceCall): AsyncGenerator<Digest> {
    for (const algorithm of ['sha256', 'sha512']) {
      for await (const folder of this.#entries(`${layersPrefix(name)}${algorithm}/`, call, '/')) {
        const digest = `${algorithm}:${folder.slice(0, -1)}`;
        if (isDigest(digest)) yield digest;
      }
    }
  }

  /** Every entry of the index of holders. */
  async *#noted(call: ServiceCall): AsyncGenerator<{ name: RepositoryName; digest: Digest }> {
    for await (const entry of this.#entries(HOLDERS_PREFIX, call)) {
      const [algorithm = '', hex = '', segment = ''] = entry.split('/');
      const digest = `${algorithm}:${hex}`;
      const name = decodeName(segment);
      if (isDigest(digest) && isRepositoryName(name)) yield { name, digest };
    }
  }

  async *#entries(prefix: string, call: ServiceCall, delimiter?: '/'): AsyncGenerator<string> {
    let after: string | undefined;
    do {
      await nextTurn();
      const page = await this.#storage.list(prefix, {
        signal: call.signal,
        ...(after === undefined ? {} : { after }),
        ...(delimiter === undefined ? {} : { delimiter }),
      });
      for (const { name } of page.entries) yield name;
      after = page.more ? page.entries.at(-1)?.name : undefined;
    } while (after !== undefined);
  }
}

/** Names of two ordered sequences, with which of the two has it alone. */
async function* differences(
  left: AsyncIterator<RepositoryName>,
  right: AsyncIterator<RepositoryName>,
): AsyncGenerator<{ name: RepositoryName; only: 'left' | 'right' | undefined }> {
  let first = await left.next();
  let second = await right.next();
  while (first.done !== true || second.done !== true) {
    if (second.done === true || (first.done !== true && first.value < second.value)) {
      yield { name: first.value, only: 'left' };
      first = await left.next();
    } else if (first.done === true || second.value < first.value) {
      yield { name: second.value, only: 'right' };
      second = await right.next();
    } else {
      yield { name: first.value, only: undefined };
      [first, second] = [await left.next(), await right.next()];
    }
  }
}
