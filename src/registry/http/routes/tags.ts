import type { TagService } from '../../distribution/tag-service.ts';
import type { Exchange } from '../exchange.ts';
import { locationOf } from '../location.ts';
import { nextLink, parsePage } from '../pagination.ts';
import type { TargetOf } from '../path.ts';
import { respond } from '../respond.ts';
import type { Endpoint } from '../router.ts';

/** `/v2/<name>/tags/list` (OCI dist-spec end-8). */
export function tagsEndpoint(tags: Pick<TagService, 'list'>): Endpoint<'tags'> {
  return new Map([
    ['GET', { action: 'pull', handle: (exchange, target) => listTags(tags, exchange, target) }],
    ['HEAD', { action: 'pull', handle: (exchange, target) => listTags(tags, exchange, target) }],
  ]);
}

async function listTags(
  service: Pick<TagService, 'list'>,
  exchange: Exchange,
  { repository }: TargetOf<'tags'>,
): Promise<void> {
  const { query, reply } = exchange;
  const page = parsePage(query);
  const { tags, more } = await service.list(repository, page, exchange);
  const last = tags.at(-1);
  if (more && last !== undefined) {
    reply.header(
      'link',
      nextLink(locationOf(exchange, `/v2/${repository}/tags/list`), query, {
        n: page.n ?? tags.length,
        last,
      }),
    );
  }
  respond(exchange, { status: 200, body: { name: repository, tags } });
}
