import { join } from 'node:path';

import type { ListOptions, ListPage } from '../../driver.ts';
import type { FolderNames } from './folder-names.ts';

/** One page of what is below the folder `path`. */
export async function listFolder(
  folders: FolderNames,
  path: string,
  options: ListOptions,
): Promise<ListPage> {
  const { after = '', limit = 1000, delimiter, onlyVersion } = options;
  if (onlyVersion === true) return versionOf(folders, path);
  // One more tells whether there is more.
  if (delimiter === undefined) {
    const found: string[] = [];
    await collect(folders, { path, prefix: '', after, limit: limit + 1 }, found);
    return page(found, limit);
  }
  return page(following(await folders.read(path), after, limit + 1), limit);
}

async function versionOf(folders: FolderNames, path: string): Promise<ListPage> {
  const version = await folders.version(path);
  return { entries: [], more: false, ...(version === undefined ? {} : { version }) };
}

function page(names: readonly string[], limit: number): ListPage {
  return { entries: names.slice(0, limit).map((name) => ({ name })), more: names.length > limit };
}

interface Walk {
  readonly path: string;
  /** Of the names that are collected. */
  readonly prefix: string;
  readonly after: string;
  /** How many are collected in all. */
  readonly limit: number;
}

/** Depth first: a folder sorts by its name with the slash, which begins all names below it. */
async function collect(folders: FolderNames, walk: Walk, found: string[]): Promise<void> {
  const { path, prefix, after, limit } = walk;
  const names = await folders.read(path);
  const rest = after.startsWith(prefix) ? after.slice(prefix.length) : '';
  // Right before the names that follow may be the folder that what follows lies in.
  for (let index = Math.max(0, positionAfter(names, rest) - 1); index < names.length; index++) {
    if (found.length === limit) return;
    const name = names[index] ?? '';
    const full = prefix + name;
    if (!name.endsWith('/')) {
      if (full > after) found.push(full);
    } else if (full > after || after.startsWith(full)) {
      await collect(folders, { ...walk, path: join(path, name), prefix: full }, found);
    }
  }
}

/** At most `limit` names after `after`, which need not be among them. */
function following(sorted: readonly string[], after: string, limit: number): readonly string[] {
  const start = positionAfter(sorted, after);
  return sorted.slice(start, start + limit);
}

/** Where the names after `after` begin. */
function positionAfter(sorted: readonly string[], after: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? '') <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}
