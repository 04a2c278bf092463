import { join } from 'node:path';

import type { ListOptions, ListPage } from '../../driver.ts';
import type { FolderNames } from './folder-names.ts';

/** One page of what is below the folder `path`. */
export async function listFolder(
  folders: FolderNames,
  path: string,
  options: ListOptions,
): Promise<ListPage> {
  const { after = '', limit = 1000, delimiter } = options;
  // One more tells whether there is more.
  const names =
    delimiter === undefined
      ? await collect(walk(folders, { path, prefix: '', after }), limit + 1)
      : following(await folders.read(path), after, limit + 1);
  return { entries: names.slice(0, limit).map((name) => ({ name })), more: names.length > limit };
}

interface Walk {
  readonly path: string;
  /** Of the names that are yielded. */
  readonly prefix: string;
  readonly after: string;
}

/** Depth first: a folder sorts by its name with the slash, which begins all names below it. */
async function* walk(folders: FolderNames, { path, prefix, after }: Walk): AsyncGenerator<string> {
  for (const name of await folders.read(path)) {
    const full = prefix + name;
    if (!name.endsWith('/')) {
      if (full > after) yield full;
    } else if (full > after || after.startsWith(full)) {
      yield* walk(folders, { path: join(path, name), prefix: full, after });
    }
  }
}

async function collect(names: AsyncGenerator<string>, limit: number): Promise<string[]> {
  const collected: string[] = [];
  for await (const name of names) {
    collected.push(name);
    if (collected.length === limit) break;
  }
  return collected;
}

/** At most `limit` names after `after`, which need not be among them. */
function following(sorted: readonly string[], after: string, limit: number): readonly string[] {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? '') <= after) low = middle + 1;
    else high = middle;
  }
  return sorted.slice(low, low + limit);
}
