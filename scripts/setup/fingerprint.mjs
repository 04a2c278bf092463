import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from './paths.mjs';

/**
 * A digest of files' names and contents: equal digests mean that nothing has to be done again.
 *
 * @param {string[]} paths files and folders relative to the checkout; a missing one counts as missing
 * @param {string[]} [words] further things that the outcome depends on
 */
export function fingerprint(paths, words = []) {
  const hash = createHash('sha256');
  for (const word of words) {
    hash.update(`${word}\0`);
  }
  for (const path of paths.flatMap((entry) => filesUnder(entry))) {
    const content = readFileSync(join(ROOT, path));
    hash.update(`${path}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex').slice(0, 16);
}

function filesUnder(path) {
  const absolute = join(ROOT, path);
  if (!existsSync(absolute)) {
    return [];
  }
  if (!statSync(absolute).isDirectory()) {
    return [path];
  }
  return readdirSync(absolute)
    .sort() // oxlint-disable-line unicorn/no-array-sort -- toSorted is newer than Node 18
    .flatMap((name) => filesUnder(join(path, name)));
}
