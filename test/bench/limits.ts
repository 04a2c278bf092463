import { accessSync, constants } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { cgroupPaths, makeCgroup, removeCgroup } from '../cluster/cgroups.ts';

/** A control group that bounds the memory of the processes in it. */
export interface MemoryLimit extends AsyncDisposable {
  /** Its `cgroup.procs`, into which a process writes itself. */
  readonly procs: string;
}

/** Where version 1 and version 2 of control groups keep the bound. */
const FILES = ['memory.limit_in_bytes', 'memory.max'];

/** @returns undefined where this process may not make control groups, or there are none */
export async function limitMemory(bytes: number): Promise<MemoryLimit | undefined> {
  const name = `registry-operator-bench-${process.pid}`;
  const remove = () => removeCgroup(name);
  try {
    await makeCgroup(name);
    const bounds = (await cgroupPaths(name)).flatMap((path) =>
      FILES.map((file) => ({ path, file: join(path, file) })).filter(({ file }) => isWritable(file)),
    );
    const [bound] = bounds;
    if (bound === undefined) throw new Error('no controller of memory');
    await writeFile(bound.file, String(bytes));
    return { procs: join(bound.path, 'cgroup.procs'), [Symbol.asyncDispose]: remove };
  } catch {
    await remove();
    return undefined;
  }
}

function isWritable(file: string): boolean {
  try {
    accessSync(file, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
