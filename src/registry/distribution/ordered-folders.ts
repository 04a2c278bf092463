import type { CallOptions, ListEntry, ListPage, StorageDriver } from '../storage/driver.ts';

/** A stop on the way through folders: the name itself, or everything that begins with the name and a slash. */
export interface FolderVisit {
  readonly name: string;
  readonly kind: 'self' | 'below';
}

export interface FolderScan {
  /** Prefix of the folders, with the slash at its end. */
  readonly prefix: string;
  /** Only names after this one; it need not exist. Empty for all. */
  readonly last: string;
  /** How many folders one page of the storage's listing should hold. */
  readonly pageSize: number;
  /** Whether there is a folder of this name. */
  exists(name: string): Promise<boolean>;
}

/**
 * The folders below a prefix in byte order of their names, read lazily.
 *
 * The storage lists `v1-rc/` and `v1.0/` before `v1/`, because `-` and `.` sort before `/`; by name `v1` comes
 * first. So each page is sorted by name, and `v1` may still be missing in it: that can only be a beginning of
 * the last name of the page, so those few are looked for. Every other character of names sorts after `/`, where
 * both orders agree.
 *
 * `self` comes where the name belongs and `below` where `name/…` belongs. A `below` may also concern a name
 * before `last`.
 */
export async function* orderedFolders(
  storage: StorageDriver,
  scan: FolderScan,
  call: CallOptions,
): AsyncGenerator<FolderVisit> {
  const early = new Set<string>();
  for await (const page of pages(storage, scan, call)) {
    const listed = page.entries.filter(isFolder).map(({ name }) => name.slice(0, -1));
    const ahead = page.more ? await stillToCome(listed, early, scan) : [];
    const selves = [...listed.filter((name) => !early.has(name)), ...ahead];
    for (const name of ahead) early.add(name);
    const keys = [...selves.filter((name) => name > scan.last), ...listed.map((name) => `${name}/`)];
    yield* keys.toSorted(byBytes).map(visit);
  }
}

async function* pages(
  storage: StorageDriver,
  { prefix, last, pageSize }: FolderScan,
  call: CallOptions,
): AsyncGenerator<ListPage> {
  const limit = Math.min(Math.max(pageSize, 1), 1000);
  let after = last;
  for (;;) {
    const page = await storage.list(prefix, {
      signal: call.signal,
      ...(after === '' ? {} : { after }),
      limit,
      delimiter: '/',
    });
    yield page;
    const end = page.entries.at(-1);
    if (!page.more || end === undefined) return;
    after = end.name;
  }
}

/** Names that sort before the last listed one, and that the storage lists after it. */
async function stillToCome(
  listed: readonly string[],
  early: ReadonlySet<string>,
  scan: FolderScan,
): Promise<string[]> {
  const candidates = beginnings(listed.at(-1) ?? '').filter((name) => name > scan.last && !early.has(name));
  const found = await Promise.all(candidates.map(async (name) => scan.exists(name)));
  return candidates.filter((_, index) => found[index]);
}

/** `1.2-rc` has `1` and `1.2`. */
function beginnings(name: string): string[] {
  return [...name.matchAll(/[-.]/g)].map(({ index }) => name.slice(0, index)).filter((text) => text !== '');
}

function isFolder({ name }: ListEntry): boolean {
  return name.endsWith('/');
}

function visit(key: string): FolderVisit {
  return key.endsWith('/') ? { name: key.slice(0, -1), kind: 'below' } : { name: key, kind: 'self' };
}

/** Names are ASCII, whose code units are in byte order. */
function byBytes(left: string, right: string): number {
  return left < right ? -1 : Number(left > right);
}
