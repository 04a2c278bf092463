import type { RepositoryService } from '../../distribution/repository-service.ts';
import { respond } from '../respond.ts';
import type { Endpoint } from '../router.ts';

/** `/v2/<name>/_registry-operator/repository`: an extension of ours that removes a whole repository. */
export function repositoryEndpoint(repositories: Pick<RepositoryService, 'delete'>): Endpoint<'repository'> {
  return new Map([
    [
      'DELETE',
      {
        action: 'delete',
        handle: async (exchange, { repository }) => {
          await repositories.delete(repository, exchange);
          respond(exchange, { status: 202 });
        },
      },
    ],
  ]);
}
