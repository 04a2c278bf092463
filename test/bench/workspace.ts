import { readFileSync, rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';

import { build } from '../../scripts/build.ts';
import { cacheRoot } from '../helpers/tools.ts';

/** A folder for everything that the benchmark writes, and the program of our server in it. */
export interface Workspace extends AsyncDisposable {
  readonly folder: string;
  /** Such as `ext4`. */
  readonly fileSystem: string;
  /** The bundle, as the container image holds it. */
  readonly program: string;
}

export interface WorkspaceOptions {
  /** Where the folder is made; that of caches unless given. */
  readonly parent?: string | undefined;
  /** What will be written to it. */
  readonly bytes: number;
  readonly program?: string | undefined;
}

/** Free space beyond what the content takes: pushes, logs, bundles. */
const SPARE_BYTES = 4 * 2 ** 30;

/**
 * Makes the folder, and the bundle unless there is one.
 *
 * @throws Error when there is not enough space
 */
export async function openWorkspace({
  parent = cacheRoot(),
  bytes,
  program,
}: WorkspaceOptions): Promise<Workspace> {
  await mkdir(parent, { recursive: true });
  const { bavail, bsize } = await statfs(parent);
  const [free, needed] = [bavail * bsize, bytes + SPARE_BYTES];
  if (free < needed) {
    throw new Error(
      `${parent} has ${gibibytes(free)} GiB free; the benchmark needs ${gibibytes(needed)} GiB`,
    );
  }
  const folder = await mkdtemp(join(parent, 'bench-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  return {
    folder,
    fileSystem: fileSystemOf(folder, readFileSync('/proc/self/mounts', 'utf8')),
    program: program ?? (await bundle(join(folder, 'program'))),
    [Symbol.asyncDispose]: async () => {
      process.off('exit', remove);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function bundle(folder: string): Promise<string> {
  await mkdir(folder);
  await build(folder);
  return join(folder, 'registry.js');
}

function gibibytes(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(1);
}

/**
 * @param mounts lines as in /proc/self/mounts
 * @returns the type of the file system that holds the path
 */
export function fileSystemOf(path: string, mounts: string): string {
  const holding = mounts
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, point = '-']) => point === '/' || path === point || path.startsWith(`${point}/`))
    .toSorted(([, one = ''], [, other = '']) => other.length - one.length);
  return holding[0]?.[2] ?? 'unknown';
}
