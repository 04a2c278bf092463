import type { EvaluatedRow, Verdict } from './evaluation.ts';
import type { Row, Unit } from './job.ts';
import type { Spread } from './statistics.ts';
import { SUBJECT_TITLES, type SubjectId } from './subjects.ts';

const ALIGNED_RIGHT = '---:';
/** Columns that are there when there is something in them. */
const OURS: readonly SubjectId[] = ['ours', 'base', 'two'];

/** The rows as a table in markdown. */
export function renderTable(rows: readonly EvaluatedRow[]): string {
  const columns: readonly (readonly [string, (row: EvaluatedRow) => string])[] = [
    ['work', (row) => title(row)],
    ...OURS.filter((id) => rows.some(({ spreads }) => spreads.has(id))).map(
      (id) => [SUBJECT_TITLES[id], (row: EvaluatedRow) => spreadCell(row, id)] as const,
    ),
    [SUBJECT_TITLES.distribution, (row) => spreadCell(row, 'distribution')],
    [SUBJECT_TITLES['docker-registry'], (row) => spreadCell(row, 'docker-registry')],
    ['ratio', ({ ratio }) => (ratio === undefined ? '' : ratio.toFixed(2))],
    ['at least', ({ verdict }) => boundCell(verdict, 'atLeast')],
    ['aim', ({ verdict }) => boundCell(verdict, 'aim')],
    ['holds', ({ verdict }) => verdictCell(verdict)],
    ['CPU', ({ cpu, row }) => `${slashed(cpu)}${cpu.size === 0 ? '' : costUnit(row)}`],
    ['peak MiB', ({ peakMiB }) => slashed(peakMiB)],
    ['stall ms', ({ stallMs }) => (stallMs === undefined ? '' : stallMs.toFixed(0))],
  ];
  const lines = [
    columns.map(([head]) => head),
    columns.map((_, index) => (index === 0 ? '---' : ALIGNED_RIGHT)),
    ...rows.map((row) => columns.map(([, cell]) => cell(row))),
  ];
  return lines.map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}

function title({ row, quantity }: EvaluatedRow): string {
  if (quantity === 'p99') return `… p99, ms`;
  if (quantity === 'cpu') return `… CPU${costUnit(row)}`;
  return `${row.title}, ${row.unit}`;
}

function costUnit({ per }: Row): string {
  if (per === 'GiB') return ' s/GiB';
  return per === 'request' ? ' µs/request' : '';
}

function spreadCell({ spreads, row, quantity, cpu }: EvaluatedRow, id: SubjectId): string {
  const values = spreads.get(id);
  if (values === undefined) return '';
  const unit = quantity === 'value' ? row.unit : undefined;
  const range = values.min === values.max ? '' : ` (${number(values.min, unit)}–${number(values.max, unit)})`;
  return cpu === undefined ? '' : `${number(values.median, unit)}${range}`;
}

/** As many digits as mean something. */
function number(value: number, unit?: Unit): string {
  if (unit === 'req/s' || unit === 'MB/s' || unit === 'MiB') return value.toFixed(0);
  if (Math.abs(value) >= 100) return value.toFixed(0);
  return Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function boundCell(verdict: Verdict | undefined, bound: 'atLeast' | 'aim'): string {
  if (verdict === undefined) return '';
  return `${verdict.target.bound === 'least' ? '≥' : '≤'} ${number(verdict[bound])}`;
}

function verdictCell(verdict: Verdict | undefined): string {
  if (verdict === undefined) return '';
  if (!verdict.holds) return '**no**';
  return verdict.reachesAim ? 'aim' : 'yes';
}

/** Ours, distribution 3's, docker-registry's. */
function slashed(spreads: ReadonlyMap<SubjectId, Spread>): string {
  const order: readonly SubjectId[] = ['ours', 'base', 'two', 'distribution', 'docker-registry'];
  return order
    .flatMap((id) => spreads.get(id) ?? [])
    .map(({ median }) => number(median, median >= 10 ? 'MiB' : undefined))
    .join(' / ');
}
