import type { StorageDriver } from '../storage/driver.ts';
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

/** Lists the repositories of the registry (`GET /v2/_catalog`, an addition of Docker's). */
export class CatalogService {
  readonly #storage: StorageDriver;

  constructor({ storage }: Pick<ServiceDependencies, 'storage'>) {
    this.#storage = storage;
  }

  /** An empty registry has an empty list. */
  async list(request: PageRequest, call: ServiceCall): Promise<CatalogPage> {
    const limit = pageLimit(request);
    const walk = { last: request.last ?? '', pageSize: limit };
    const { entries, more } = await takePage(walkRepositories(this.#storage, walk, call), limit);
    return { repositories: entries, more };
  }
}
