import type { Row, Sample } from './job.ts';
import type { Measurements } from './run.ts';
import { type Spread, spread } from './statistics.ts';
import type { SubjectId } from './subjects.ts';
import type { Quantity, Target } from './targets.ts';

/** A target, and what came of it. */
export interface Verdict {
  readonly target: Target;
  /** Ours ÷ distribution 3's, or ours in the row's unit. */
  readonly measured: number;
  /** The target's bounds, scaled to this machine. */
  readonly atLeast: number;
  readonly aim: number;
  readonly holds: boolean;
  readonly reachesAim: boolean;
}

/** One line of the table. */
export interface EvaluatedRow {
  readonly row: Row;
  readonly quantity: Quantity;
  readonly spreads: ReadonlyMap<SubjectId, Spread>;
  /** Ours ÷ distribution 3's. */
  readonly ratio?: number;
  readonly verdict?: Verdict;
  readonly cpu: ReadonlyMap<SubjectId, Spread>;
  readonly peakMiB: ReadonlyMap<SubjectId, Spread>;
  /** Longest of all rounds. */
  readonly stallMs?: number;
}

/** Every measured row, and a line of its own for each further quantity that has a target. */
export function evaluate(
  rows: readonly Row[],
  measurements: Measurements,
  targets: readonly Target[],
): EvaluatedRow[] {
  return rows
    .filter(({ id }) => measurements.has(id))
    .flatMap((row) => {
      const quantities = targets.filter((target) => target.row === row.id).map(({ quantity }) => quantity);
      return [...new Set<Quantity>(['value', ...quantities])].map((quantity) =>
        evaluateRow(row, quantity, { measurements, targets }),
      );
    });
}

interface Given {
  readonly measurements: Measurements;
  readonly targets: readonly Target[];
}

function evaluateRow(row: Row, quantity: Quantity, given: Given): EvaluatedRow {
  const samples = given.measurements.get(row.id) ?? new Map<SubjectId, Sample[]>();
  const spreads = spreadsOf(samples, (sample) => sample[quantity]);
  const stalls = spread((samples.get('ours') ?? samples.get('two') ?? []).map(({ stallMs }) => stallMs));
  const cpu = spreadsOf(samples, (sample) => sample.cpu);
  const peakMiB = spreadsOf(samples, (sample) => sample.peakMiB);
  const compared = compare(row, quantity, { ...given, spreads });
  return { row, quantity, spreads, ...compared, cpu, peakMiB, ...(stalls ? { stallMs: stalls.max } : {}) };
}

function compare(
  row: Row,
  quantity: Quantity,
  { measurements, targets, spreads }: Given & { readonly spreads: ReadonlyMap<SubjectId, Spread> },
): Pick<EvaluatedRow, 'ratio' | 'verdict'> {
  const [ours, theirs] = [spreads.get('ours')?.median, spreads.get('distribution')?.median];
  const ratio = ours === undefined || !theirs ? undefined : ours / theirs;
  const target = targets.find((one) => one.row === row.id && one.quantity === quantity);
  const measured = target?.kind === 'ratio' ? ratio : ours;
  const unjudged = target === undefined || measured === undefined;
  return {
    ...(ratio === undefined ? {} : { ratio }),
    ...(unjudged ? {} : { verdict: judge(target, measured, scaleOf(target, measurements)) }),
  };
}

function spreadsOf(
  samples: ReadonlyMap<SubjectId, readonly Sample[]>,
  read: (sample: Sample) => number | undefined,
): Map<SubjectId, Spread> {
  return new Map(
    [...samples].flatMap(([id, list]) => {
      const values = spread(list.map((sample) => read(sample)));
      return values === undefined ? [] : [[id, values] as const];
    }),
  );
}

/** How much slower than there distribution 3 is here; 1 when it was not measured. */
export function scaleOf({ scale }: Target, measurements: Measurements): number {
  if (scale === undefined) return 1;
  const here = spread((measurements.get(scale.row)?.get('distribution') ?? []).map(({ value }) => value));
  return here === undefined ? 1 : here.median / scale.figure;
}

/** Compares with the bounds. */
export function judge(target: Target, measured: number, scale: number): Verdict {
  const [atLeast, aim] = [target.atLeast * scale, target.aim * scale];
  const meets = (bound: number) => (target.bound === 'least' ? measured >= bound : measured <= bound);
  return { target, measured, atLeast, aim, holds: meets(atLeast), reachesAim: meets(aim) };
}
