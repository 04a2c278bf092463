import { readdir, stat } from 'node:fs/promises';

import { isMissing } from './failure.ts';

/** What cannot be a part of a key (our locks and temporary files, an editor's backups) does not exist. */
const SEGMENT = /^[A-Za-z0-9._=+-]+$/;
/** Reading a smaller folder costs hardly more than asking whether it has changed. */
const MIN_KEPT = 100;
/** Names that are kept in all: some ten megabytes. */
const MAX_KEPT = 100_000;
/**
 * A folder that changed so shortly before it was read may change again without a new time stamp: clocks of
 * file systems tick slowly, those of some servers every second.
 */
const SETTLED_MS = 2000;

interface Kept {
  /** Tells whether anything came or went since. */
  readonly version: string;
  readonly names: readonly string[];
}

/**
 * The names in folders, sorted. Large folders, such as one with ten thousand tags, are kept until their time
 * stamp changes.
 */
export class FolderNames {
  readonly #now: () => number;
  /** By path, the least recently used first. */
  readonly #kept = new Map<string, Kept>();
  #count = 0;

  /** @param now milliseconds since the epoch */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Names in byte order (they are ASCII), folders with a slash at their end. A missing folder has none. */
  async read(path: string): Promise<readonly string[]> {
    const kept = this.#kept.get(path);
    try {
      if (kept === undefined) return await this.#readAnew(path);
      const { version } = await versionOf(path);
      this.#drop(path);
      if (version !== kept.version) return await this.#readAnew(path);
      this.#keep(path, kept);
      return kept.names;
    } catch (error) {
      if (!isMissing(error)) throw error;
      this.#drop(path);
      return [];
    }
  }

  /** Stays the same until a name comes or goes; undefined while that cannot be told, and of a missing folder. */
  async version(path: string): Promise<string | undefined> {
    const start = this.#now();
    try {
      const { version, modified } = await versionOf(path);
      return start - modified > SETTLED_MS ? version : undefined;
    } catch (error) {
      if (!isMissing(error)) throw error;
      return undefined;
    }
  }

  async #readAnew(path: string): Promise<readonly string[]> {
    const start = this.#now();
    const { version, modified } = await versionOf(path);
    const names = await readNames(path);
    if (names.length >= MIN_KEPT && start - modified > SETTLED_MS) this.#keep(path, { version, names });
    return names;
  }

  #keep(path: string, kept: Kept): void {
    this.#drop(path);
    this.#kept.set(path, kept);
    this.#count += kept.names.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#count <= MAX_KEPT) return;
      this.#drop(oldest);
    }
  }

  #drop(path: string): void {
    this.#count -= this.#kept.get(path)?.names.length ?? 0;
    this.#kept.delete(path);
  }
}

async function versionOf(path: string): Promise<{ version: string; modified: number }> {
  const { ino, mtimeNs, ctimeNs, mtimeMs } = await stat(path, { bigint: true });
  return { version: `${ino} ${mtimeNs} ${ctimeNs}`, modified: Number(mtimeMs) };
}

async function readNames(path: string): Promise<string[]> {
  const names: string[] = [];
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (!SEGMENT.test(entry.name)) continue;
    if (entry.isDirectory()) names.push(`${entry.name}/`);
    else if (entry.isFile()) names.push(entry.name);
  }
  return names.toSorted();
}
