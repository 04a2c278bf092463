import type { StorageDriver } from '../storage/driver.ts';
import { CatalogIndex } from './catalog-index.ts';
import { type Digest, isDigest } from './digest.ts';
import { DistributionError, RangeInvalid } from './errors.ts';
import {
  holderKey,
  layersPrefix,
  listedKey,
  manifestsPrefix,
  repositoryFolderPrefix,
  tagsPrefix,
  uploadPrefix,
  uploadsPrefix,
} from './layout.ts';
import type { RepositoryName, UploadId } from './names.ts';
import { isUploadId } from './reference.ts';
import type { RepositoryGuard } from './repository-guard.ts';
import type { ServiceCall, ServiceDependencies } from './service-dependencies.ts';
import type { UploadService } from './upload-service.ts';

export interface RepositoryServiceDependencies extends Pick<ServiceDependencies, 'storage' | 'logger'> {
  readonly uploads: Pick<UploadService, 'cancel'>;
  /** The same one that manifests are pushed through. */
  readonly guard: RepositoryGuard;
}

/** Removes whole repositories: an extension of ours. */
export class RepositoryService {
  readonly #storage: StorageDriver;
  readonly #catalog: CatalogIndex;
  readonly #uploads: Pick<UploadService, 'cancel'>;
  readonly #guard: RepositoryGuard;
  readonly #logger: ServiceDependencies['logger'];

  constructor({ storage, logger, uploads, guard }: RepositoryServiceDependencies) {
    this.#storage = storage;
    this.#catalog = new CatalogIndex(storage);
    this.#uploads = uploads;
    this.#guard = guard;
    this.#logger = logger;
  }

  /**
   * Removes the repository with its tags, manifests, blobs and unfinished uploads, and none of those whose names
   * begin with its own. Content stays for other repositories, and for a garbage collection.
   *
   * What an interrupted call has left is removed by a repeated one. Everything is removed twice: the second time
   * no manifest is pushed, so that one that was pushed meanwhile goes with its layers. A later push finds no
   * layers and is refused, or brings its own and makes the repository anew. Another replica is not kept away: an
   * upload that it is writing to stays, and a manifest that it links at that very moment can lose its layers.
   *
   * @throws DistributionError NAME_UNKNOWN
   */
  async delete(name: RepositoryName, { signal }: ServiceCall): Promise<void> {
    const call = { signal };
    if (!(await this.#exists(name, call))) throw new DistributionError('NAME_UNKNOWN', { detail: { name } });
    await this.#removeContent(name, call);
    await this.#guard.remove(name, async () => {
      await this.#removeContent(name, call);
      await this.#catalog.forgetIfGone(name, call);
    });
  }

  /** Also what is left of one, such as an upload or an entry of the index. */
  async #exists(name: RepositoryName, call: ServiceCall): Promise<boolean> {
    const [has, folders] = await Promise.all([this.#catalog.has(name, call), this.#folders(name, call)]);
    return has || folders.length > 0;
  }

  /** From what makes content visible to what it is made of, so that nobody sees a part of it as a whole. */
  async #removeContent(name: RepositoryName, call: ServiceCall): Promise<void> {
    await this.#removeBelow(tagsPrefix(name), call);
    await this.#removeBelow(manifestsPrefix(name), call);
    await this.#removeLayers(name, call);
    await this.#endUploads(name, call);
    const uploads = uploadsPrefix(name);
    for (const prefix of await this.#folders(name, call)) {
      if (prefix !== uploads) await this.#removeBelow(prefix, call);
      await this.#prune(prefix, call);
    }
  }

  /** Folders of the repository itself: no component of a name begins with `_`. */
  async #folders(name: RepositoryName, call: ServiceCall): Promise<string[]> {
    const prefix = repositoryFolderPrefix(name);
    const { entries } = await this.#storage.list(prefix, {
      signal: call.signal,
      after: '_',
      limit: 100,
      delimiter: '/',
    });
    return entries
      .filter((entry) => entry.name.startsWith('_') && entry.name.endsWith('/'))
      .map((entry) => prefix + entry.name);
  }

  async #removeBelow(prefix: string, call: ServiceCall): Promise<void> {
    for await (const names of this.#pages(prefix, call)) {
      await this.#storage.delete(
        names.map((name) => listedKey(prefix, name)),
        call,
      );
    }
  }

  /** Entries of the index go first: what an interrupted call has left is found by the links. */
  async #removeLayers(name: RepositoryName, call: ServiceCall): Promise<void> {
    const prefix = layersPrefix(name);
    for await (const names of this.#pages(prefix, call)) {
      const digests = names.map(digestOfLink).filter((digest) => digest !== undefined);
      await this.#storage.delete(
        digests.map((digest) => holderKey(digest, name)),
        call,
      );
      await this.#storage.delete(
        names.map((link) => listedKey(prefix, link)),
        call,
      );
    }
  }

  async #endUploads(name: RepositoryName, call: ServiceCall): Promise<void> {
    const prefix = uploadsPrefix(name);
    for await (const folders of this.#pages(prefix, call, '/')) {
      for (const id of folders.map((folder) => folder.slice(0, -1)).filter(isUploadId)) {
        await this.#endUpload(name, id, call);
      }
    }
  }

  async #endUpload(name: RepositoryName, id: UploadId, call: ServiceCall): Promise<void> {
    try {
      await this.#uploads.cancel(name, id, call);
    } catch (error) {
      if (error instanceof RangeInvalid) {
        this.#logger?.debug({ repository: name, id }, 'another replica writes to an upload, which stays');
      } else if (error instanceof DistributionError && error.code === 'BLOB_UPLOAD_UNKNOWN') {
        await this.#removeBelow(uploadPrefix(name, id), call);
      } else {
        throw error;
      }
    }
  }

  /** Other servers leave folders without files behind on a file system, which look like content in a listing. */
  async #prune(prefix: string, call: ServiceCall): Promise<void> {
    let isEmpty = true;
    for await (const names of this.#pages(prefix, call, '/')) {
      if (names.length > 0) isEmpty = false;
      for (const name of names.filter((text) => text.endsWith('/'))) await this.#prune(prefix + name, call);
    }
    // Deleting a file, even a missing one, removes the folders that are empty without it.
    if (isEmpty) await this.#storage.delete([listedKey(prefix, 'link')], call);
  }

  /** The names below a prefix, a page at a time; what is listed may be removed before the next page. */
  async *#pages(prefix: string, call: ServiceCall, delimiter?: '/'): AsyncGenerator<string[]> {
    let after: string | undefined;
    do {
      const page = await this.#storage.list(prefix, {
        signal: call.signal,
        ...(after === undefined ? {} : { after }),
        ...(delimiter === undefined ? {} : { delimiter }),
      });
      yield page.entries.map(({ name }) => name);
      after = page.more ? page.entries.at(-1)?.name : undefined;
    } while (after !== undefined);
  }
}

/** @param name as listed below the layers of a repository: `sha256/<hex>/link` */
function digestOfLink(name: string): Digest | undefined {
  const [algorithm = '', hex = ''] = name.split('/');
  const text = `${algorithm}:${hex}`;
  return isDigest(text) ? text : undefined;
}
