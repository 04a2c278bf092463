import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Job, JobContext, Row } from './job.ts';
import { groupOf, isProfiler, type ProfileNode, sharesOf, threadGroup } from './profile-groups.ts';
import type { RunOptions } from './run.ts';
import { startSubject } from './subjects.ts';
import { cpuByThread } from './usage.ts';

/** Not the bundle, in which nothing has a file of its own any more. */
const SOURCES = fileURLToPath(new URL('../../src/registry/main.ts', import.meta.url));
/** Between two looks at the stack, in microseconds. */
const INTERVAL_US = 500;

/** Where the processor time of our server goes, in percent by group; the largest first. */
export interface RowProfile {
  readonly row: Row;
  readonly percent: readonly (readonly [group: string, percent: number])[];
}

/** The time of one measurement: microseconds of the monotonic clock, and seconds by thread. */
interface Window {
  readonly row: Row;
  readonly from: number;
  readonly to: number;
  readonly threads: ReadonlyMap<string, number>;
}

/** V8's format. */
interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly startTime: number;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Runs every job once more on our server from its sources, under Node's profiler. */
export async function profileJobs(options: Omit<RunOptions, 'subjects' | 'programs'>): Promise<RowProfile[]> {
  const profiles: RowProfile[] = [];
  for (const job of options.jobs.filter(({ rows }) =>
    rows(options.scale).some(({ per }) => per !== undefined),
  )) {
    options.say(`profile of ${job.id}`);
    profiles.push(...(await profileJob(job, options)));
  }
  return profiles;
}

async function profileJob(
  job: Job,
  { folder, seed, scale, wants, say, certificate }: Omit<RunOptions, 'subjects' | 'programs'>,
): Promise<RowProfile[]> {
  const place = join(folder, 'profile');
  const roots = { seed: seed.root, twice: seed.rootTwice, fresh: join(place, 'root') };
  await mkdir(roots[job.root], { recursive: true });
  const windows: Window[] = [];
  try {
    const server = await startSubject('ours', {
      folder: place,
      root: roots[job.root],
      tls: job.tls === undefined ? undefined : await certificate(job.tls),
      programs: { ours: SOURCES },
      nodeOptions: ['--cpu-prof', `--cpu-prof-dir=${place}`, `--cpu-prof-interval=${INTERVAL_US}`],
    });
    const context: JobContext = {
      server,
      scale,
      seed,
      wants,
      record: () => undefined,
      startBeside: () => Promise.reject(new Error('is not profiled')),
      measure: async (row, load) => {
        if (!wants(row)) return;
        const [before, from] = [cpuByThread(server.process.pid), microseconds()];
        await load();
        const [after, to] = [cpuByThread(server.process.pid), microseconds()];
        windows.push({ row, from, to, threads: difference(after, before) });
      },
    };
    await job.run(context).catch((error: unknown) => say(`  ${job.id} has no profile: ${String(error)}`));
    await server.process.stop();
    const profile = await mainProfile(place, server.process.pid);
    return windows.map((window) => ({ row: window.row, percent: percentages(profile, window) }));
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

function microseconds(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

function difference(
  after: ReadonlyMap<string, number>,
  before: ReadonlyMap<string, number>,
): Map<string, number> {
  return new Map([...after].map(([name, seconds]) => [name, seconds - (before.get(name) ?? 0)]));
}

/** Files are named CPU.<date>.<time>.<pid>.<thread>.<number>.cpuprofile; the main thread is 0. */
async function mainProfile(folder: string, pid: number): Promise<CpuProfile> {
  const names = await readdir(folder);
  const name = names.find((candidate) => candidate.includes(`.${pid}.0.`));
  if (name === undefined) throw new Error(`no profile among ${names.join(', ')}`);
  return JSON.parse(await readFile(join(folder, name), 'utf8')) as CpuProfile;
}

/** Time of other threads goes by their names; that of the main one is divided as its samples are. */
function percentages(profile: CpuProfile, { from, to, threads }: Window): [string, number][] {
  const seconds = new Map<string, number>();
  const add = (group: string, more: number) => seconds.set(group, (seconds.get(group) ?? 0) + more);
  for (const [name, spent] of threads) {
    if (isProfiler(name)) continue;
    const group = threadGroup(name);
    if (group !== undefined) add(group, spent);
    else for (const [part, share] of sharesOf(sampled(profile, from, to))) add(part, share * spent);
  }
  const total = [...seconds.values()].reduce((sum, value) => sum + value, 0);
  return [...seconds]
    .map(([group, value]): [string, number] => [group, (100 * value) / total])
    .filter(([, percent]) => percent > 0)
    .toSorted(([, one], [, other]) => other - one);
}

/** Microseconds by group within the window. */
function sampled(profile: CpuProfile, from: number, to: number): Map<string, number> {
  const groups = groupOf(profile.nodes);
  const spent = new Map<string, number>();
  let time = profile.startTime;
  for (const [index, node] of profile.samples.entries()) {
    const delta = profile.timeDeltas[index] ?? 0;
    time += delta;
    const group = groups.get(node);
    if (time >= from && time <= to && group !== undefined) spent.set(group, (spent.get(group) ?? 0) + delta);
  }
  return spent;
}
