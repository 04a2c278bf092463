import type { CallOptions, StorageDriver } from '../storage/driver.ts';
import { repositoryFolderPrefix } from './layout.ts';
import type { RepositoryName } from './names.ts';
import { orderedFolders } from './ordered-folders.ts';
import { isRepositoryName } from './reference.ts';

/** Folders below a repository's that make it one. */
const CONTENT_FOLDERS: readonly string[] = ['_layers/', '_manifests/'];

export interface RepositoryWalk {
  /** Only repositories after this name in byte order. */
  readonly last: string;
  /** How many repositories the caller expects to need. */
  readonly pageSize: number;
  /** Folders of which one must be there; default those of content. */
  readonly having?: readonly string[];
}

/** Whether anything was pushed to the repository and is still there. */
export async function repositoryExists(
  storage: StorageDriver,
  name: string,
  call: CallOptions,
  having: readonly string[] = CONTENT_FOLDERS,
): Promise<boolean> {
  // `_` sorts before the letters and after the digits, `-` and `.` that components may have.
  const page = await storage.list(repositoryFolderPrefix(name), {
    signal: call.signal,
    after: '_',
    limit: 8,
    delimiter: '/',
  });
  return page.entries.some((entry) => having.includes(entry.name));
}

/**
 * All repositories in byte order, found by walking the folders, as a store of distribution has nothing else
 * to list them by. Lazy: reads the folders on the way to the entries that are taken.
 */
export async function* walkRepositories(
  storage: StorageDriver,
  walk: RepositoryWalk,
  call: CallOptions,
): AsyncGenerator<RepositoryName> {
  yield* walkBelow(storage, '', walk, call);
}

async function* walkBelow(
  storage: StorageDriver,
  parent: string,
  walk: RepositoryWalk,
  call: CallOptions,
): AsyncGenerator<RepositoryName> {
  const scan = {
    prefix: repositoryFolderPrefix(parent),
    last: firstComponent(walk.last),
    pageSize: walk.pageSize + 1,
    exists: async (name: string) => repositoryExists(storage, join(parent, name), call, walk.having),
  };
  for await (const { name, kind } of orderedFolders(storage, scan, call)) {
    const path = join(parent, name);
    if (!isRepositoryName(path)) continue;
    if (kind === 'below') {
      const last = lastBelow(name, walk.last);
      if (last !== undefined) yield* walkBelow(storage, path, { ...walk, last }, call);
    } else if (name > walk.last && (await repositoryExists(storage, path, call, walk.having))) {
      yield path;
    }
  }
}

/** What `last` is within a folder; undefined when the whole folder comes before it. */
function lastBelow(folder: string, last: string): string | undefined {
  const start = `${folder}/`;
  if (last.startsWith(start)) return last.slice(start.length);
  return start > last ? '' : undefined;
}

function firstComponent(path: string): string {
  return path.split('/', 1)[0] ?? '';
}

function join(parent: string, name: string): string {
  return parent === '' ? name : `${parent}/${name}`;
}
