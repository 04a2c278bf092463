import { type Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import type { ListOptions, ListPage } from '../../driver.ts';
import { isMissing } from './failure.ts';

/** What cannot be a part of a key (our locks and temporary files, an editor's backups) does not exist. */
const SEGMENT = /^[A-Za-z0-9._=+-]+$/;

/** One page of what is below the folder `path`. */
export async function listFolder(path: string, options: ListOptions): Promise<ListPage> {
  const { after = '', limit = 1000, delimiter } = options;
  const names: string[] = [];
  const found = delimiter === undefined ? walk(path, '', after) : children(path, after);
  for await (const name of found) {
    if (names.length === limit) return { entries: names.map((entry) => ({ name: entry })), more: true };
    names.push(name);
  }
  return { entries: names.map((name) => ({ name })), more: false };
}

async function* children(path: string, after: string): AsyncGenerator<string> {
  yield* (await sortedNames(path)).filter((name) => name > after);
}

/** Depth first: a folder sorts by its name with the slash, which begins all names below it. */
async function* walk(path: string, prefix: string, after: string): AsyncGenerator<string> {
  for (const name of await sortedNames(path)) {
    const full = prefix + name;
    if (!name.endsWith('/')) {
      if (full > after) yield full;
    } else if (full > after || after.startsWith(full)) {
      yield* walk(join(path, name), full, after);
    }
  }
}

/** Names in a folder, folders with a slash, in byte order (they are ASCII). A missing folder has none. */
async function sortedNames(path: string): Promise<string[]> {
  const names: string[] = [];
  for (const entry of await readFolder(path)) {
    if (!SEGMENT.test(entry.name)) continue;
    if (entry.isDirectory()) names.push(`${entry.name}/`);
    else if (entry.isFile()) names.push(entry.name);
  }
  return names.toSorted();
}

async function readFolder(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
