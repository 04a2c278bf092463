import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import type { RegistryConfig } from '../../api/registry-config.ts';

/** As many as the configuration may name. */
const MAX_PROCESSES = 64;
const CGROUPS = '/sys/fs/cgroup';

/** What this machine gives to a server. */
interface Cpus {
  /** CPUs that the system says can be used at once. */
  readonly parallelism: number;
  /** CPUs that the limit of the container is worth, such as 1.5; undefined without a limit. */
  readonly limit: number | undefined;
}

/** Processes to run here. */
export async function processCount(setting: RegistryConfig['http']['processes']): Promise<number> {
  if (setting !== 'auto') return setting;
  return countFor({ parallelism: availableParallelism(), limit: await cpuLimit() });
}

/** One for each whole CPU, and at least one. */
export function countFor(cpus: Cpus): number {
  const usable = Math.floor(Math.min(cpus.parallelism, cpus.limit ?? Infinity));
  return Math.max(1, Math.min(MAX_PROCESSES, usable));
}

/**
 * The CPU limit of the control groups around this process, of version 2 (`cpu.max`) or 1 (`cpu.cfs_quota_us`): the
 * strictest of them.
 *
 * @param read the text of a file; rejects when there is none
 * @returns CPUs, such as 1.5; undefined without a limit, or where there are no control groups
 */
export async function cpuLimit(
  read: (path: string) => Promise<string> = readText,
): Promise<number | undefined> {
  const membership = await read('/proc/self/cgroup').catch(() => '');
  const limits: number[] = [];
  for (const folder of new Set(foldersOf(membership))) {
    const limit = (await limitOfVersion2(folder, read)) ?? (await limitOfVersion1(folder, read));
    if (limit !== undefined) limits.push(limit);
  }
  return limits.length === 0 ? undefined : Math.min(...limits);
}

/** In a container the root stands for its own group, and the path that is told may be that of the host. */
function foldersOf(membership: string): string[] {
  return membership.split('\n').flatMap((line) => {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === '') return [];
    if (controllers === '') return withParents(CGROUPS, path);
    return controllers.split(',').includes('cpu') ? withParents(join(CGROUPS, controllers), path) : [];
  });
}

function withParents(root: string, path: string): string[] {
  const names = path.split('/').filter((name) => name !== '');
  return [root, ...names.map((_, index) => join(root, ...names.slice(0, index + 1)))];
}

/** `max 100000` is no limit, `150000 100000` are one and a half CPUs. */
async function limitOfVersion2(
  folder: string,
  read: (path: string) => Promise<string>,
): Promise<number | undefined> {
  const [quota, period] = (await read(join(folder, 'cpu.max')).catch(() => '')).trim().split(' ');
  return ratio(quota, period);
}

/** A quota of -1 is no limit. */
async function limitOfVersion1(
  folder: string,
  read: (path: string) => Promise<string>,
): Promise<number | undefined> {
  const [quota, period] = await Promise.all(
    ['cpu.cfs_quota_us', 'cpu.cfs_period_us'].map((name) => read(join(folder, name)).catch(() => '')),
  );
  return ratio(quota, period);
}

function ratio(quota: string | undefined, period: string | undefined): number | undefined {
  const cpus = Number.parseInt(quota ?? '', 10) / Number.parseInt(period ?? '', 10);
  return Number.isFinite(cpus) && cpus > 0 ? cpus : undefined;
}

function readText(path: string): Promise<string> {
  return readFile(path, 'utf8');
}
