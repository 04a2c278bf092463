import type { KeyKind } from './certificates.ts';
import type { Outcome } from './load-generator.ts';
import type { Scale } from './scale.ts';
import type { Seed, SeedPart } from './seed.ts';
import type { RunningSubject, SubjectId } from './subjects.ts';

/** What a number is, and so whether more of it is better. */
export type Unit = 'MB/s' | 'req/s' | 'ms' | 'MiB' | '×';

/** One line of the table. */
export interface Row {
  readonly id: string;
  readonly title: string;
  readonly unit: Unit;
  /** What the cost in processor time is divided by; unset shows none. */
  readonly per?: 'GiB' | 'request';
}

/** One measurement of one server. */
export interface Sample {
  /** In the row's unit. */
  readonly value: number;
  /** Milliseconds, of small requests. */
  readonly p50?: number;
  readonly p99?: number;
  /** Seconds per GiB, or microseconds per request. */
  readonly cpu?: number;
  readonly peakMiB: number;
  /** Longest stall of our event loop, in milliseconds. */
  readonly stallMs?: number;
}

/** What a job has while it runs. */
export interface JobContext {
  readonly server: RunningSubject;
  readonly scale: Scale;
  readonly seed: Seed;
  /** Whether the row was asked for. */
  readonly wants: (row: Row) => boolean;
  /** Measures what the server takes while the load runs; a row that was not asked for is left out. */
  readonly measure: (row: Row, load: () => Promise<Outcome>) => Promise<void>;
  /** Starts the same server on other content, for as long as the job runs. */
  readonly startBeside: (root: 'twice') => Promise<RunningSubject>;
  /** A value that was found out otherwise. */
  readonly record: (row: Row, value: number) => void;
}

/** Rows that one start of a server measures. */
export interface Job {
  readonly id: string;
  readonly rows: (scale: Scale) => readonly Row[];
  readonly needs: readonly SeedPart[];
  readonly subjects: readonly SubjectId[];
  readonly tls?: KeyKind;
  /** `fresh`: an empty folder, removed afterwards. */
  readonly root: 'seed' | 'twice' | 'fresh';
  /** Whether our server is watched for stalls; not where the watching would count. */
  readonly stalls: boolean;
  readonly run: (context: JobContext) => Promise<void>;
}
