import { isWanted, JOBS } from './catalogue.ts';
import { evaluate } from './evaluation.ts';
import type { Job, Row } from './job.ts';
import type { BenchOptions } from './options.ts';
import { runJobs } from './run.ts';
import type { Scale } from './scale.ts';
import { makeSeed, seedBytes } from './seed.ts';
import { renderTable } from './table.ts';
import { TARGETS } from './targets.ts';
import { openWorkspace } from './workspace.ts';

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/**
 * Measures the rows that were asked for and prints the table.
 *
 * @returns the exit status: 1 when something could not be measured, 2 when nothing was asked for
 */
export async function benchRows(options: BenchOptions, scale: Scale): Promise<number> {
  const wanted = (job: Job): Row[] => job.rows(scale).filter((row) => isWanted(job, row, options.only));
  const jobs = JOBS.filter((job) => wanted(job).length > 0);
  const rows = jobs.flatMap((job) => wanted(job));
  if (rows.length === 0) {
    process.stderr.write(`no row ${options.only.join(', ')}; --list prints their names\n`);
    return 2;
  }
  const began = performance.now();
  const parts = new Set(jobs.flatMap((job) => job.needs));
  await using workspace = await openWorkspace({
    parent: options.folder,
    bytes: seedBytes(parts, scale),
    program: options.program,
  });
  const { folder, fileSystem } = workspace;
  const programs = { ours: workspace.program, base: options.base };
  say(`content on ${fileSystem} in ${folder}`);
  const seed = await makeSeed(folder, parts, { scale, programs });
  const ids = new Set(rows.map(({ id }) => id));
  const { measurements, failures } = await runJobs({
    jobs,
    wants: ({ id }) => ids.has(id),
    subjects: options.servers,
    scale,
    seed,
    folder,
    programs,
    say,
  });
  process.stdout.write(`\n${renderTable(evaluate(rows, measurements, TARGETS))}\n`);
  for (const failure of failures) say(`could not measure ${failure}`);
  say(`${((performance.now() - began) / 60_000).toFixed(1)} minutes`);
  return failures.length === 0 ? 0 : 1;
}
