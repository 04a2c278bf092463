import type { ListOptions, ListPage } from '../../driver.ts';
import type { Bucket } from './bucket.ts';

const MAX_PAGE = 1000;

/**
 * One page below a prefix. Names with `~` are our unfinished uploads, and names that are empty or end with a
 * slash are the markers by which some tools make folders: neither are keys.
 */
export async function listPrefix(
  bucket: Bucket,
  prefix: string,
  options: ListOptions,
  signal?: AbortSignal,
): Promise<ListPage> {
  const { after = '', limit = MAX_PAGE, delimiter } = options;
  const page = {
    after: startAfter(after, delimiter),
    // One more tells whether there is more, mostly without another request.
    limit: Math.min(limit + 1, MAX_PAGE),
    delimiter,
  };
  const names: string[] = [];
  let token: string | undefined;
  do {
    const found = await bucket.list(prefix, { ...page, token }, signal);
    names.push(...found.names.filter((name) => name > after && isListed(name, delimiter)));
    token = found.token;
  } while (token !== undefined && names.length <= limit);
  return {
    entries: names.slice(0, limit).map((name) => ({ name })),
    more: names.length > limit,
  };
}

/** Servers disagree on whether a folder comes again after itself; `~` is behind everything in it. */
function startAfter(after: string, delimiter: '/' | undefined): string {
  return delimiter !== undefined && after.endsWith('/') ? `${after}~` : after;
}

function isListed(name: string, delimiter: '/' | undefined): boolean {
  return name !== '' && !name.includes('~') && (delimiter !== undefined || !name.endsWith('/'));
}
