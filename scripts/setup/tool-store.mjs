import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join, relative } from 'node:path';

import { BIN, CACHE } from './paths.mjs';
import { reporter } from './report.mjs';

const STORE = join(CACHE, 'tools');

/**
 * Puts programs into `<cache>/tools/<key>` and links them by name from `<cache>/bin`. A key that is there is complete:
 * a folder gets its name only after everything is in it.
 *
 * @param {object} tool
 * @param {string} tool.key name, version and whatever else the binaries depend on
 * @param {Record<string, string>} tool.programs program name → file in the folder
 * @param {string} tool.title for people, such as "building helm v3.22.0"
 * @param {(folder: string) => Promise<void>} make fills an empty folder
 * @returns {Promise<boolean>} whether it had to be made
 */
export async function provide({ key, programs, title }, make) {
  const folder = join(STORE, key);
  const made = !existsSync(folder);
  if (made) {
    await reporter.step(title, () => fill(folder, make));
  }
  mkdirSync(BIN, { recursive: true });
  for (const [name, file] of Object.entries(programs)) {
    link(join(BIN, name), relative(BIN, join(folder, file)));
  }
  return made;
}

async function fill(folder, make) {
  mkdirSync(STORE, { recursive: true });
  const work = mkdtempSync(join(STORE, '.new-'));
  const remove = () => rmSync(work, { recursive: true, force: true });
  process.once('exit', remove);
  try {
    chmodSync(work, 0o755);
    await make(work);
    if (!existsSync(folder)) {
      renameSync(work, folder);
    }
  } finally {
    process.off('exit', remove);
    remove();
  }
}

function link(path, target) {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() && readlinkSync(path) === target) {
    return;
  }
  const fresh = `${path}.${process.pid}`;
  symlinkSync(target, fresh);
  renameSync(fresh, path);
}
