import type { StorageDriver } from '../storage/driver.ts';
import { DistributionError } from './errors.ts';
import type { RepositoryName, Tag } from './names.ts';
import { pageLimit, type PageRequest, takePage } from './page.ts';
import { repositoryExists } from './repositories.ts';
import type { ServiceCall, ServiceDependencies } from './service-dependencies.ts';
import { Tags } from './tags.ts';

export interface TagPage {
  /** In byte order. */
  readonly tags: Tag[];
  /** More follow after the last one. */
  readonly more: boolean;
}

/** Lists and removes tags (OCI dist-spec "Listing Tags", "Deleting tags"). */
export class TagService {
  readonly #storage: StorageDriver;
  readonly #tags: Tags;

  constructor({ storage, logger }: Pick<ServiceDependencies, 'storage' | 'logger'>) {
    this.#storage = storage;
    this.#tags = new Tags(storage, logger);
  }

  /** @throws DistributionError NAME_UNKNOWN; a repository without tags has an empty list */
  async list(name: RepositoryName, request: PageRequest, call: ServiceCall): Promise<TagPage> {
    const limit = pageLimit(request);
    const walk = { last: request.last ?? '', pageSize: limit + 1 };
    const { entries, more } = await takePage(this.#tags.walk(name, walk, call), limit);
    if (entries.length === 0 && !(await repositoryExists(this.#storage, name, call))) {
      throw new DistributionError('NAME_UNKNOWN', { detail: { name } });
    }
    return { tags: entries, more };
  }

  /**
   * Removes the tag; the manifest stays.
   *
   * @throws DistributionError MANIFEST_UNKNOWN
   */
  async delete(name: RepositoryName, tag: Tag, call: ServiceCall): Promise<void> {
    if (await this.#tags.delete(name, tag, call)) return;
    throw new DistributionError('MANIFEST_UNKNOWN', { detail: { tag } });
  }
}
