import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { errorMessage } from '../../src/shared/errors.ts';
import type { CertificateFiles, KeyKind } from './certificates.ts';
import type { Job, JobContext, Row, Sample } from './job.ts';
import type { Outcome } from './load-generator.ts';
import type { Scale } from './scale.ts';
import type { Seed } from './seed.ts';
import { type Programs, type RunningSubject, startSubject, type SubjectId } from './subjects.ts';
import { forgetPeak, usageOf } from './usage.ts';

/** Samples by row, then by server. */
export type Measurements = Map<string, Map<SubjectId, Sample[]>>;

export interface RunOptions {
  readonly jobs: readonly Job[];
  /** Whether a row is wanted; others of a job are left out. */
  readonly wants: (row: Row) => boolean;
  /** Every other server than these is left out. */
  readonly subjects: readonly SubjectId[];
  readonly scale: Scale;
  readonly seed: Seed;
  /** Folder for what the servers write. */
  readonly folder: string;
  readonly programs: Programs;
  /** The files of a certificate with such a key. */
  readonly certificate: (kind: KeyKind) => Promise<CertificateFiles>;
  /** Told of every step. */
  readonly say: (line: string) => void;
}

export interface RunResult {
  readonly measurements: Measurements;
  /** What could not be measured, and why. */
  readonly failures: readonly string[];
}

/** A GiB, and what the load generator counts. */
const GIB = 2 ** 30;

/** Measures every job so many rounds, each server started anew and in another order each time. */
export async function runJobs(options: RunOptions): Promise<RunResult> {
  const bench = new Bench(options);
  for (const [index, job] of options.jobs.entries()) {
    options.say(`${job.id} (${index + 1} of ${options.jobs.length})`);
    for (let round = 0; round < options.scale.rounds; round++) {
      const subjects = job.subjects.filter((id) => options.subjects.includes(id));
      for (const id of rotated(subjects, round + index)) await bench.run(job, id);
    }
  }
  return { measurements: bench.measurements, failures: bench.failures };
}

/** @returns the same, beginning elsewhere */
export function rotated<T>(items: readonly T[], by: number): T[] {
  const first = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}

class Bench {
  readonly measurements: Measurements = new Map();
  readonly failures: string[] = [];
  readonly #options: RunOptions;

  constructor(options: RunOptions) {
    this.#options = options;
  }

  async run(job: Job, id: SubjectId): Promise<void> {
    const folder = join(this.#options.folder, 'server');
    await mkdir(folder, { recursive: true });
    try {
      await this.#measure(job, id, folder);
    } catch (error) {
      const failure = `${job.id}, ${id}: ${errorMessage(error)}`;
      this.failures.push(failure);
      this.#options.say(`  could not measure ${failure}`);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async #measure(job: Job, id: SubjectId, folder: string): Promise<void> {
    await using servers = new AsyncDisposableStack();
    const start = async (name: string, root: Job['root']): Promise<RunningSubject> => {
      const server = await this.#start({ ...job, root }, id, join(folder, name));
      servers.defer(() => server.process.stop());
      return server;
    };
    const server = await start('first', job.root);
    await job.run({ ...this.#context(server), startBeside: (root) => start('beside', root) });
  }

  async #start(job: Job, id: SubjectId, folder: string): Promise<RunningSubject> {
    const { seed, programs, certificate } = this.#options;
    const roots = { seed: seed.root, twice: seed.rootTwice, fresh: join(folder, 'root') };
    const tls = job.tls === undefined ? undefined : await certificate(job.tls);
    const { stalls } = job;
    await mkdir(roots[job.root], { recursive: true });
    return startSubject(id, { folder: join(folder, 'files'), root: roots[job.root], tls, programs, stalls });
  }

  #context(server: RunningSubject): Omit<JobContext, 'startBeside'> {
    const { scale, seed, wants } = this.#options;
    return {
      server,
      scale,
      seed,
      wants,
      measure: async (row, load) => {
        if (wants(row)) this.#add(row, server.id, await measure(row, server, load));
      },
      record: (row, value) => {
        if (wants(row)) this.#add(row, server.id, { value, peakMiB: usageOf(server.process.pid).peakMiB });
      },
    };
  }

  #add(row: Row, id: SubjectId, sample: Sample): void {
    const bySubject = this.measurements.get(row.id) ?? new Map<SubjectId, Sample[]>();
    this.measurements.set(row.id, bySubject);
    bySubject.set(id, [...(bySubject.get(id) ?? []), sample]);
    const cpu = sample.cpu === undefined ? '' : `, CPU ${sample.cpu.toPrecision(3)}`;
    const stall = sample.stallMs === undefined ? '' : `, longest stall ${sample.stallMs.toFixed(0)} ms`;
    const memory = `peak ${sample.peakMiB.toFixed(0)} MiB`;
    this.#options.say(
      `  ${row.id} ${id}: ${sample.value.toPrecision(4)} ${row.unit}${cpu}, ${memory}${stall}`,
    );
  }
}

async function measure(row: Row, server: RunningSubject, load: () => Promise<Outcome>): Promise<Sample> {
  await server.stalls();
  forgetPeak(server.process.pid);
  const before = usageOf(server.process.pid);
  const outcome = await load();
  const after = usageOf(server.process.pid);
  const stalls = await server.stalls();
  const values: Partial<Record<Row['unit'], number>> = { ms: outcome.p50 ?? 0, MiB: after.peakMiB };
  return {
    value: values[row.unit] ?? outcome.rate,
    ...(outcome.p50 === undefined ? {} : { p50: outcome.p50 }),
    ...(outcome.p99 === undefined ? {} : { p99: outcome.p99 }),
    ...costOf(row, after.cpuSeconds - before.cpuSeconds, outcome),
    peakMiB: after.peakMiB,
    ...(stalls === undefined ? {} : { stallMs: stalls.max }),
  };
}

function costOf(row: Row, cpuSeconds: number, { bytes, requests }: Outcome): { cpu?: number } {
  if (row.per === 'GiB') return { cpu: cpuSeconds / (bytes / GIB) };
  if (row.per === 'request') return { cpu: (cpuSeconds * 1e6) / requests };
  return {};
}
