import { DistributionError } from '../distribution/errors.ts';

/** The largest page; larger values of `n` get this one and a link to the next. */
export const MAX_PAGE = 1000;

export interface Page {
  /** At most this many entries; unset is for the service to decide. */
  readonly n?: number;
  /** Only entries after this one; it need not exist. */
  readonly last?: string;
}

/**
 * Reads `n` and `last` of a list request.
 *
 * @throws DistributionError PAGINATION_NUMBER_INVALID when `n` is not a whole number from 0 up
 */
export function parsePage(query: URLSearchParams): Page {
  const n = query.get('n');
  const last = query.get('last');
  if (n !== null && !/^\d{1,40}$/.test(n)) {
    throw new DistributionError('PAGINATION_NUMBER_INVALID', { detail: { n: n.slice(0, 40) } });
  }
  return {
    ...(n === null ? {} : { n: Math.min(Number(n), MAX_PAGE) }),
    ...(last === null || last === '' ? {} : { last }),
  };
}

/** Parameters that make a list what it is; others are not repeated, because a client may send any amount of text. */
const KEPT = new Set(['n', 'last', 'artifactType', 'ns']);

/**
 * The `Link` header to the next page (RFC 8288); keeps the parameters of the request that lists know.
 *
 * @param path path or URL of the list, without a query
 * @param page `n` is how many entries the next page shall have; unset leaves it to the server
 */
export function nextLink(
  path: string,
  query: URLSearchParams,
  page: { readonly n?: number; readonly last: string },
): string {
  const next = new URLSearchParams([...query].filter(([name]) => KEPT.has(name)));
  if (page.n === undefined) next.delete('n');
  else next.set('n', String(page.n));
  next.set('last', page.last);
  return `<${path}?${next.toString()}>; rel="next"`;
}
