import { describe, expect, it, test } from 'vitest';

import { countFor, cpuLimit, processCount } from './process-count.ts';

/** A machine that has only these files. */
function machine(files: Readonly<Record<string, string>>): (path: string) => Promise<string> {
  return (path) => {
    const text = files[path];
    return text === undefined ? Promise.reject(new Error(`no ${path}`)) : Promise.resolve(text);
  };
}

describe('the number of processes', () => {
  it('is what the configuration says', async () => {
    await expect(processCount(7)).resolves.toBe(7);
  });

  it('is at least one and at most 64 on this machine', async () => {
    const count = await processCount('auto');

    expect(count).toBeGreaterThanOrEqual(1);
    expect(count).toBeLessThanOrEqual(64);
  });

  test.each([
    [{ parallelism: 8, limit: undefined }, 8],
    [{ parallelism: 8, limit: 4 }, 4],
    [{ parallelism: 8, limit: 2.9 }, 2],
    [{ parallelism: 8, limit: 0.25 }, 1],
    [{ parallelism: 2, limit: 16 }, 2],
    [{ parallelism: 256, limit: undefined }, 64],
  ])('of %j is %d', (cpus, count) => {
    expect(countFor(cpus)).toBe(count);
  });
});

describe('the CPU limit', () => {
  test.each<[string, Record<string, string>, number | undefined]>([
    ['of a machine without control groups', {}, undefined],
    [
      'of a container with control groups 2',
      { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': '150000 100000\n' },
      1.5,
    ],
    [
      'that is not set',
      { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': 'max 100000\n' },
      undefined,
    ],
    [
      'that is the strictest of nested groups',
      {
        '/proc/self/cgroup': '0::/kubepods/pod7/c1\n',
        '/sys/fs/cgroup/kubepods/cpu.max': '800000 100000\n',
        '/sys/fs/cgroup/kubepods/pod7/cpu.max': '200000 100000\n',
        '/sys/fs/cgroup/kubepods/pod7/c1/cpu.max': 'max 100000\n',
      },
      2,
    ],
    [
      'of control groups 1, whose path inside of the container is that of the host',
      {
        '/proc/self/cgroup': '3:cpuset:/x\n2:cpu,cpuacct:/docker/c1\n1:name=systemd:/docker/c1\n0::/\n',
        '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '300000\n',
        '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
      },
      3,
    ],
    [
      'of control groups 1 that is not set',
      {
        '/proc/self/cgroup': '1:cpu:/\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      },
      undefined,
    ],
  ])('%s', async (_, files, limit) => {
    await expect(cpuLimit(machine(files))).resolves.toBe(limit);
  });
});
