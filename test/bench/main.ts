import { errorMessage } from '../../src/shared/errors.ts';
import { JOBS } from './catalogue.ts';
import { machineFacts, renderProfile, writeSections } from './document.ts';
import { benchLoad } from './load.ts';
import { type BenchOptions, parseOptions, USAGE } from './options.ts';
import { benchRows, type RowsResult, summarise } from './rows.ts';
import { FULL, QUICK, type Scale } from './scale.ts';
import { renderTable } from './table.ts';

function list(): void {
  for (const job of JOBS) {
    for (const { id, title } of job.rows(FULL)) process.stdout.write(`${id.padEnd(28)} ${title}\n`);
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function scaleOf({ quick, rounds, seconds }: BenchOptions): Scale {
  const scale = quick ? QUICK : FULL;
  return {
    ...scale,
    rounds: rounds ?? scale.rounds,
    requestMs: seconds === undefined ? scale.requestMs : seconds * 1000,
  };
}

/** @returns the exit status: 1 when something could not be measured */
async function rows(options: BenchOptions): Promise<number> {
  const scale = scaleOf(options);
  const result = await benchRows({ ...options, scale, say });
  const text = describe(result, scale);
  process.stdout.write(`\n${text}\n`);
  if (result.profiles.length > 0) process.stdout.write(`${renderProfile(result.profiles)}\n`);
  if (options.write) {
    const profile = result.profiles.length > 0 ? { profile: renderProfile(result.profiles) } : {};
    await writeSections({ rows: text, ...profile });
  }
  for (const failure of result.failures) say(`could not measure ${failure}`);
  return result.failures.length === 0 ? 0 : 1;
}

function describe({ rows: evaluated, fileSystem, minutes }: RowsResult, { rounds }: Scale): string {
  const how = `${today()}, \`${commandLine()}\`, ${minutes.toFixed(0)} minutes, medians of ${rounds} rounds (least–most)`;
  return `${how}; ${machineFacts(fileSystem)}.\n\n${renderTable(evaluated)}\n${summarise(evaluated).join('\n\n')}\n`;
}

function today(): string {
  return new Date().toISOString().slice(0, 10);
}

/** The command that was given, as the page shows it. */
function commandLine(): string {
  const args = process.argv.slice(2);
  return ['npm run bench', ...(args.length > 0 ? ['--'] : []), ...args].join(' ');
}

async function load(options: BenchOptions): Promise<number> {
  const { text, measured } = await benchLoad({ ...options, scale: scaleOf(options), say });
  const whole = `${today()}, \`${commandLine()}\`: ${text}`;
  process.stdout.write(`\n${whole}\n`);
  if (options.write) await writeSections({ load: whole });
  return measured ? 0 : 1;
}

async function run(options: BenchOptions): Promise<number> {
  if (options.mode === 'load') return load(options);
  if (options.mode === 'rows') return rows(options);
  list();
  return 0;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
const options = parseOptions(process.argv.slice(2));
if (options === undefined) {
  process.stderr.write(USAGE);
  process.exitCode = 2;
} else {
  try {
    process.exitCode = await run(options);
  } catch (error) {
    say(errorMessage(error));
    process.exitCode = 1;
  }
}
