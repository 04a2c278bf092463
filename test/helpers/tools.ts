import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/** Folder for what is expensive to get: `$REGISTRY_OPERATOR_CACHE`, else `~/.cache/registry-operator`. */
export function cacheRoot(): string {
  return process.env['REGISTRY_OPERATOR_CACHE'] || join(homedir(), '.cache', 'registry-operator');
}

/**
 * Absolute path of a program that tests run (crane, helm, kube-apiserver, skopeo …).
 * The cache's `bin` goes before `PATH`, so that the pinned version wins over one that happens to be installed.
 *
 * @throws Error that says how to get the program when it is nowhere.
 */
export function toolPath(name: string): string {
  const folders = [
    join(cacheRoot(), 'bin'),
    ...(process.env['PATH'] ?? '').split(delimiter),
    '/usr/sbin',
    '/sbin',
  ];
  const found = folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => isExecutable(path));
  if (found === undefined) {
    throw new Error(`${name} is missing; npm test installs it`);
  }
  return found;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
