/** Entries that one page of tags or repositories has at most, and when the client names no number. */
export const MAX_PAGE_ENTRIES = 1000;

/** Which part of a list a client wants (OCI dist-spec "Listing Tags"). */
export interface PageRequest {
  /** At most this many entries; more than {@link MAX_PAGE_ENTRIES} counts as that, 0 is an empty page. */
  readonly n?: number;
  /** Only entries after this one in byte order; it need not exist. */
  readonly last?: string;
}

/** How many entries the page may have. */
export function pageLimit(request: PageRequest): number {
  return Math.min(request.n ?? MAX_PAGE_ENTRIES, MAX_PAGE_ENTRIES);
}

/** The first entries of an ordered sequence, and whether more follow. Reads one entry beyond the page. */
export async function takePage<T>(
  source: AsyncIterable<T>,
  limit: number,
): Promise<{ entries: T[]; more: boolean }> {
  const entries: T[] = [];
  if (limit <= 0) return { entries, more: false };
  for await (const entry of source) {
    if (entries.length === limit) return { entries, more: true };
    entries.push(entry);
  }
  return { entries, more: false };
}
