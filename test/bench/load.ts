import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { machineFacts } from './document.ts';
import { limitMemory } from './limits.ts';
import { loadgen, type Outcome } from './load-generator.ts';
import type { Scale } from './scale.ts';
import { blobArguments, makeSeed, REPOSITORIES, type Seed, seedBytes, type SeedPart } from './seed.ts';
import type { Stalls } from './stalls.ts';
import { type Programs, startSubject, SUBJECT_TITLES, type SubjectId } from './subjects.ts';
import { forgetPeak, settle, usageOf } from './usage.ts';
import { openWorkspace } from './workspace.ts';

const SUBJECTS = ['ours', 'distribution'] as const;
const PULLS = 200;
const PUSHES = 50;
const MEMORY_LIMIT = 512 << 20;
/** Time after which the server should be as small as before. */
const REST_MS = 60_000;
const PARTS: ReadonlySet<SeedPart> = new Set<SeedPart>(['image', 'push-load']);

/** What must hold for ours. */
const TARGETS = { share: 0.7, peakMiB: 256, p99Ms: 50, growthMiB: 40 } as const;

/** What one server did under the load. */
export interface LoadResult {
  readonly id: SubjectId;
  readonly pulled: Outcome;
  readonly pushed: Outcome;
  readonly cpuSeconds: number;
  readonly idleMiB: number;
  readonly peakMiB: number;
  /** A minute after the end. */
  readonly restMiB: number;
  readonly stalls?: Stalls;
}

export interface LoadOptions {
  readonly minutes: number;
  readonly scale: Scale;
  readonly folder: string | undefined;
  readonly program: string | undefined;
  readonly say: (line: string) => void;
}

/** Puts the load on ours and on distribution 3, one after the other. @returns markdown, and whether it was measured */
export async function benchLoad(options: LoadOptions): Promise<{ text: string; measured: boolean }> {
  const { minutes, scale, say } = options;
  const bytes = SUBJECTS.length * seedBytes(PARTS, scale);
  await using workspace = await openWorkspace({ parent: options.folder, bytes, program: options.program });
  const { folder } = workspace;
  const programs = { ours: workspace.program };
  const results: LoadResult[] = [];
  await using limit = await limitMemory(MEMORY_LIMIT);
  const bounds =
    limit === undefined
      ? 'without a memory limit, as this machine offers none'
      : 'ours under a memory limit of 512 MiB, under which distribution 3 would be killed';
  for (const id of SUBJECTS) {
    const seed = await seedOf(join(folder, id), { scale, programs });
    say(`load on ${SUBJECT_TITLES[id]}, ${minutes} minutes, ${bounds}`);
    results.push(
      await loadOn(id, {
        folder: join(folder, id),
        programs,
        seed,
        minutes,
        cgroup: id === 'ours' ? limit?.procs : undefined,
      }),
    );
  }
  const facts = `${PULLS} clients pull and ${PUSHES} push for ${minutes} minutes, ${bounds}, ${machineFacts(workspace.fileSystem)}`;
  const measured = results.every(({ pulled, pushed }) => pulled.errors + pushed.errors === 0);
  return { text: renderLoad(facts, results), measured };
}

/** Content of its own for every server: a blob that is there already costs less. */
async function seedOf(folder: string, options: { scale: Scale; programs: Programs }): Promise<Seed> {
  await mkdir(folder);
  return makeSeed(folder, PARTS, options);
}

interface LoadRun {
  readonly folder: string;
  readonly programs: Programs;
  readonly seed: Seed;
  readonly minutes: number;
  readonly cgroup: string | undefined;
}

async function loadOn(
  id: SubjectId,
  { folder, programs, seed, minutes, cgroup }: LoadRun,
): Promise<LoadResult> {
  const place = join(folder, 'server');
  const root = seed.root;
  const server = await startSubject(id, { folder: place, root, programs, stalls: true, cgroup });
  const { pid } = server.process;
  try {
    await settle(pid);
    const idle = usageOf(pid);
    await server.stalls();
    forgetPeak(pid);
    const clients = `-pulls ${PULLS} -pushes ${PUSHES} -d ${minutes}m`.split(' ');
    const where = ['-base', server.url, '-repo', REPOSITORIES.image];
    const blobs = blobArguments(seed.blobs['push-load'] ?? []);
    const said = JSON.parse(await loadgen(['load', ...where, ...clients, ...blobs])) as Pick<
      LoadResult,
      'pulled' | 'pushed'
    >;
    const [busy, stalls] = [usageOf(pid), await server.stalls()];
    await sleep(REST_MS);
    return {
      id,
      ...said,
      cpuSeconds: busy.cpuSeconds - idle.cpuSeconds,
      idleMiB: idle.rssMiB,
      peakMiB: busy.peakMiB,
      restMiB: usageOf(pid).rssMiB,
      ...(stalls === undefined ? {} : { stalls }),
    };
  } finally {
    await server.process.stop();
  }
}

/** The results as tables in markdown: what was done, and what of it must hold. */
function renderLoad(facts: string, results: readonly LoadResult[]): string {
  const done = results.map(
    ({ id, pulled, pushed, cpuSeconds, peakMiB }) =>
      `| ${SUBJECT_TITLES[id]} | ${gigabytes(pulled)} | ${gigabytes(pushed)} | ${pulled.errors + pushed.errors} | ${cpuSeconds.toFixed(0)} | ${peakMiB.toFixed(0)} |\n`,
  );
  const checks = judgeLoad(results).map(
    ({ title, measured, bound, holds }) =>
      `| ${title} | ${measured} | ${bound} | ${holds ? 'yes' : '**no**'} |\n`,
  );
  return [
    `${facts}.\n\n`,
    '| server | GB pulled | GB pushed | errors | CPU s | peak MiB |\n| --- | ---: | ---: | ---: | ---: | ---: |\n',
    ...done,
    '\n| ours | measured | must be | holds |\n| --- | ---: | ---: | ---: |\n',
    ...checks,
  ].join('');
}

export interface LoadCheck {
  readonly title: string;
  readonly measured: string;
  readonly bound: string;
  readonly holds: boolean;
}

/** @returns nothing when ours was not measured */
export function judgeLoad(results: readonly LoadResult[]): LoadCheck[] {
  const [ours, theirs] = ['ours', 'distribution'].map((id) => results.find((result) => result.id === id));
  if (ours === undefined) return [];
  const share = theirs === undefined ? Number.NaN : total(ours) / total(theirs);
  return [
    atMost('errors and wrong digests', ours.pulled.errors + ours.pushed.errors, 0),
    {
      title: "bytes ÷ distribution 3's",
      measured: share.toFixed(2),
      bound: `≥ ${TARGETS.share}`,
      holds: share >= TARGETS.share,
    },
    atMost('peak memory, MiB', ours.peakMiB, TARGETS.peakMiB),
    atMost('event loop late, p99, ms', ours.stalls?.p99 ?? Number.NaN, TARGETS.p99Ms),
    atMost('memory a minute later beyond that before, MiB', ours.restMiB - ours.idleMiB, TARGETS.growthMiB),
  ];
}

function atMost(title: string, value: number, bound: number): LoadCheck {
  return { title, measured: value.toFixed(0), bound: `≤ ${bound}`, holds: value <= bound };
}

function total({ pulled, pushed }: LoadResult): number {
  return pulled.bytes + pushed.bytes;
}

function gigabytes({ bytes }: Outcome): string {
  return (bytes / 1e9).toFixed(1);
}
