import type { StorageDriver } from '../storage/driver.ts';
import { CatalogIndex } from './catalog-index.ts';
import type { RepositoryName } from './names.ts';
import { pageLimit, type PageRequest, takePage } from './page.ts';
import { walkRepositories } from './repositories.ts';
import type { ServiceCall, ServiceDependencies } from './service-dependencies.ts';

export interface CatalogPage {
  /** In byte order. */
  readonly repositories: RepositoryName[];
  /** More follow after the last one. */
  readonly more: boolean;
}

/**
 * Lists the repositories of the registry (`GET /v2/_catalog`, an addition of Docker's).
 *
 * The index makes that quick, but cannot know what another server wrote into the same storage before this one
 * started. So the folders are walked until this process has compared the two, whatever an earlier process said.
 */
export class CatalogService {
  readonly #storage: StorageDriver;
  readonly #index: CatalogIndex;
  #isIndexComplete = false;

  constructor({ storage }: Pick<ServiceDependencies, 'storage'>) {
    this.#storage = storage;
    this.#index = new CatalogIndex(storage);
  }

  /** From now on the index is as good as the folders. */
  useIndex(): void {
    this.#isIndexComplete = true;
  }

  /** An empty registry has an empty list. */
  async list(request: PageRequest, call: ServiceCall): Promise<CatalogPage> {
    const limit = pageLimit(request);
    const last = request.last ?? '';
    if (this.#isIndexComplete) {
      const { names, more } = await this.#index.page(last, limit, call);
      return { repositories: names, more };
    }
    const walk = { last, pageSize: limit };
    const { entries, more } = await takePage(walkRepositories(this.#storage, walk, call), limit);
    return { repositories: entries, more };
  }
}
