import { isWanted, JOBS } from './catalogue.ts';
import { certificateCache } from './certificates.ts';
import { evaluate, type EvaluatedRow } from './evaluation.ts';
import type { Job, Row } from './job.ts';
import { PROCESSES_CASE } from './jobs/processes.ts';
import { profileJobs, type RowProfile } from './profile.ts';
import { runJobs } from './run.ts';
import type { Scale } from './scale.ts';
import { makeSeed, seedBytes } from './seed.ts';
import type { SubjectId } from './subjects.ts';
import { LONGEST_STALL_MS, TARGETS } from './targets.ts';
import { openWorkspace } from './workspace.ts';

export interface RowsOptions {
  /** Names of rows or jobs; none means all. */
  readonly only: readonly string[];
  readonly servers: readonly SubjectId[];
  readonly scale: Scale;
  /** Whether our server is also run under Node's profiler. */
  readonly profile: boolean;
  /** Where the content lies; the folder of caches unless given. */
  readonly folder?: string | undefined;
  /** A bundle of our server; made from the sources unless given. */
  readonly program?: string | undefined;
  readonly base?: string | undefined;
  readonly say: (line: string) => void;
}

export interface RowsResult {
  readonly rows: readonly EvaluatedRow[];
  readonly profiles: readonly RowProfile[];
  readonly failures: readonly string[];
  /** Of the content. */
  readonly fileSystem: string;
  readonly minutes: number;
}

/** Measures the rows that were asked for. @throws Error when nothing was */
export async function benchRows(options: RowsOptions): Promise<RowsResult> {
  const { scale, say } = options;
  const wanted = (job: Job): Row[] => job.rows(scale).filter((row) => isWanted(job, row, options.only));
  const jobs = JOBS.filter((job) => wanted(job).length > 0);
  const rows = jobs.flatMap((job) => wanted(job));
  if (rows.length === 0) throw new Error(`no row ${options.only.join(', ')}; --list prints their names`);
  const began = performance.now();
  const parts = new Set(jobs.flatMap((job) => job.needs));
  await using workspace = await openWorkspace({
    parent: options.folder,
    bytes: seedBytes(parts, scale),
    program: options.program,
  });
  const { folder, fileSystem } = workspace;
  say(`content on ${fileSystem} in ${folder}`);
  const programs = { ours: workspace.program, base: options.base };
  const seed = await makeSeed(folder, parts, { scale, programs });
  const ids = new Set(rows.map(({ id }) => id));
  const common = { jobs, wants: ({ id }: Row) => ids.has(id), scale, seed, folder, say };
  const certificate = certificateCache(folder);
  const run = await runJobs({ ...common, certificate, subjects: options.servers, programs });
  const profiles = options.profile ? await profileJobs({ ...common, certificate }) : [];
  return {
    rows: evaluate(rows, run.measurements, TARGETS),
    profiles,
    failures: run.failures,
    fileSystem,
    minutes: (performance.now() - began) / 60_000,
  };
}

/** What the table says in words: what misses its bound, what stalls, what two processes gain. */
export function summarise(rows: readonly EvaluatedRow[]): string[] {
  const missed = rows.filter(({ verdict }) => verdict?.holds === false);
  const stalled = rows.filter(
    ({ stallMs = 0, quantity }) => quantity === 'value' && stallMs > LONGEST_STALL_MS,
  );
  return [
    missed.length === 0
      ? 'Every "at least" holds.'
      : `Missed: ${missed.map((row) => `${row.row.id} (${row.quantity})`).join(', ')}.`,
    stalled.length === 0
      ? `No event loop stood still for more than ${LONGEST_STALL_MS} ms.`
      : `The event loop stood still for more than ${LONGEST_STALL_MS} ms in: ${stalled.map(({ row, stallMs = 0 }) => `${row.id} (${stallMs.toFixed(0)} ms)`).join(', ')}.`,
    ...rows.flatMap((row) => gainOfProcesses(row)),
  ];
}

function gainOfProcesses({ row, spreads }: EvaluatedRow): string[] {
  const [one, two] = [spreads.get('ours')?.median, spreads.get('two')?.median];
  if (one === undefined || two === undefined) return [];
  const { gain, why } = PROCESSES_CASE;
  const verdict = two / one >= gain ? 'holds' : 'does not hold';
  return [
    `${row.id}: two processes serve ${(two / one).toFixed(2)} times what one does; with ${why}, ${gain} or more ${verdict}.`,
  ];
}
