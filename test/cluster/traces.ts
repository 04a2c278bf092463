import { existsSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';

import { toolPath } from '../helpers/tools.ts';
import { cgroupPaths } from './cgroups.ts';
import { command } from './command.ts';
import type { ClusterSettings } from './settings.ts';

/** @returns the pid namespace of a process, such as `pid:[4026532201]` */
export function pidNamespace(pid: number): Promise<string> {
  return readlink(`/proc/${pid}/ns/pid`);
}

/**
 * Everything on this machine that belongs to a cluster: links, routes, mounts, control groups, processes.
 *
 * @param namespace the pid namespace that the node had, which finds processes that no name gives away
 * @returns one line for each, empty when the cluster has left nothing
 */
export async function clusterTraces(settings: ClusterSettings, namespace?: string): Promise<string[]> {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  const routes = (await command(toolPath('ip'), ['route'])).split('\n');
  const networks = [settings.podCIDR, settings.serviceCIDR, settings.hostIP];
  return [
    ...(existsSync(`/sys/class/net/${settings.hostLink}`) ? [`link ${settings.hostLink}`] : []),
    ...routes
      .filter((line) => networks.some((network) => line.includes(network)))
      .map((line) => `route ${line}`),
    ...mounts.filter((line) => line.includes(`${settings.dir}/`)).map((line) => `mount ${line}`),
    ...(await cgroupPaths(settings.cgroup)).map((path) => `cgroup ${path}`),
    ...(await processTraces(settings, namespace)),
  ];
}

async function processTraces({ dir }: ClusterSettings, namespace: string | undefined): Promise<string[]> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0);
  const lines = await Promise.all(
    pids.map(async (pid) => {
      const [args, ownNamespace] = await Promise.all([
        readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
        pidNamespace(pid).catch(() => ''),
      ]);
      const belongs = args.includes(`${dir}/`) || (namespace !== undefined && ownNamespace === namespace);
      return belongs ? [`process ${pid} ${args.replaceAll('\0', ' ').slice(0, 100)}`] : [];
    }),
  );
  return lines.flat();
}
