import { randomUUID } from 'node:crypto';
import { readdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';

import { isMissing } from './failure.ts';
import { type Folders, place } from './folders.ts';

/** Begins the names of notes. */
const NOTE = 'prune-';

export interface PruneNotesOptions {
  readonly root: string;
  /** Absolute path of the folder for files that are removed some time if they are left behind. */
  readonly temporary: string;
  readonly folders: Folders;
}

/**
 * Notes of folders that a deletion is about to leave empty. A process that dies between the last file and its folder
 * leaves a folder that lists show, as if there were a tag or a repository; whoever starts next finds the note.
 */
export class PruneNotes {
  readonly #options: PruneNotesOptions;

  constructor(options: PruneNotesOptions) {
    this.#options = options;
  }

  /** @param files absolute paths of the files that `work` removes, with their folders when they become empty */
  async during(files: readonly string[], work: () => Promise<void>): Promise<void> {
    const { root, temporary } = this.#options;
    const note = join(temporary, NOTE + randomUUID());
    const folders = [...new Set(files.map((file) => relative(root, dirname(file))))];
    // A deletion that makes room on a full disk is worth more than its note.
    await place(note, () => writeFile(note, folders.join('\n'))).catch(() => undefined);
    try {
      await work();
    } finally {
      await unlink(note).catch(() => undefined);
    }
  }

  /** Ends what processes that died have begun. Of one that lives, it does only what that is about to do. */
  async finish(): Promise<void> {
    const { root, temporary, folders } = this.#options;
    for (const name of await namesIn(temporary)) {
      if (!name.startsWith(NOTE)) continue;
      const note = await readFile(join(temporary, name), 'utf8').catch(ignoreMissing);
      for (const folder of note?.split('\n') ?? []) {
        const path = join(root, folder);
        // A note that the disk has damaged names anything; then its folders stay.
        if (path.startsWith(`${root}/`)) await folders.prune(path).catch(() => undefined);
      }
    }
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    ignoreMissing(error);
    return [];
  }
}

function ignoreMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}
