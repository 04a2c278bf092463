import { JOBS } from './catalogue.ts';
import { type BenchOptions, parseOptions, USAGE } from './options.ts';
import { benchRows } from './rows.ts';
import { FULL, QUICK } from './scale.ts';

function list(): void {
  for (const job of JOBS) {
    for (const { id, title } of job.rows(FULL)) process.stdout.write(`${id.padEnd(28)} ${title}\n`);
  }
}

/** @returns the exit status */
async function run(options: BenchOptions): Promise<number> {
  if (options.mode === 'list') {
    list();
    return 0;
  }
  const { rounds, requestMs, ...scale } = options.quick ? QUICK : FULL;
  return benchRows(options, {
    ...scale,
    rounds: options.rounds ?? rounds,
    requestMs: options.seconds === undefined ? requestMs : options.seconds * 1000,
  });
}

const options = parseOptions(process.argv.slice(2));
if (options === undefined) {
  process.stderr.write(USAGE);
  process.exitCode = 2;
} else {
  process.exitCode = await run(options);
}
