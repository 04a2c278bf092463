import type { CatalogService } from '../../distribution/catalog-service.ts';
import type { Exchange } from '../exchange.ts';
import { locationOf } from '../location.ts';
import { nextLink, parsePage } from '../pagination.ts';
import { respond } from '../respond.ts';
import type { Endpoint } from '../router.ts';

/** `/v2/_catalog`: the names of all repositories, an extension that Docker has introduced. */
export function catalogEndpoint(catalog: Pick<CatalogService, 'list'>): Endpoint<'catalog'> {
  return new Map([
    ['GET', { action: 'catalog', handle: (exchange) => listRepositories(catalog, exchange) }],
    ['HEAD', { action: 'catalog', handle: (exchange) => listRepositories(catalog, exchange) }],
  ]);
}

async function listRepositories(service: Pick<CatalogService, 'list'>, exchange: Exchange): Promise<void> {
  const { query, reply } = exchange;
  const page = parsePage(query);
  const { repositories, more } = await service.list(page, exchange);
  const last = repositories.at(-1);
  if (more && last !== undefined) {
    reply.header(
      'link',
      nextLink(locationOf(exchange, '/v2/_catalog'), query, { n: page.n ?? repositories.length, last }),
    );
  }
  respond(exchange, { status: 200, body: { repositories } });
}
