import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const ROOT = '/sys/fs/cgroup';

/** Makes the control group in every hierarchy of version 1, or in the one of version 2. */
export async function makeCgroup(name: string): Promise<void> {
  if (existsSync(join(ROOT, 'cgroup.controllers'))) {
    await mkdir(join(ROOT, name), { recursive: true });
    await enableControllers();
    return;
  }
  const hierarchies = (await readdir(ROOT)).filter((entry) => entry !== 'unified');
  for (const hierarchy of hierarchies.filter((entry) => existsSync(join(ROOT, entry, 'cgroup.procs')))) {
    await mkdir(join(ROOT, hierarchy, name), { recursive: true });
  }
}

/** Removes the control group everywhere; its processes must have ended. */
export async function removeCgroup(name: string): Promise<void> {
  for (const path of await cgroupPaths(name)) {
    for (let attempt = 0; attempt < 20 && existsSync(path); attempt += 1) {
      await removeTree(path);
      if (existsSync(path)) {
        await delay(100);
      }
    }
  }
}

/** @returns the folders of the control group that exist */
export async function cgroupPaths(name: string): Promise<string[]> {
  const hierarchies = await readdir(ROOT).catch(() => []);
  return [join(ROOT, name), ...hierarchies.map((entry) => join(ROOT, entry, name))].filter((path) =>
    existsSync(path),
  );
}

async function enableControllers(): Promise<void> {
  const controllers = (await readFile(join(ROOT, 'cgroup.controllers'), 'utf8')).trim().split(' ');
  for (const controller of controllers) {
    // Where a controller cannot be given to children, pods run without its limits.
    await writeFile(join(ROOT, 'cgroup.subtree_control'), `+${controller}`).catch(() => undefined);
  }
}

/** `rm -r` fails here: the files of a control group cannot be removed, and need not be. */
async function removeTree(path: string): Promise<void> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  for (const entry of entries.filter((candidate) => candidate.isDirectory())) {
    await removeTree(join(path, entry.name));
  }
  await rmdir(path).catch(() => undefined);
}
