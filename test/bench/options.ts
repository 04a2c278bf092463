import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { SUBJECT_TITLES, type SubjectId } from './subjects.ts';

export const USAGE = `usage: npm run bench -- [OPTION ...]          compare the registry server with others
       npm run bench -- load [--minutes N]    many clients at once for a while

  --only ROW[,ROW]      some rows, or all that begin with one of the words
  --rounds N            measurements of each row and server; 3
  --seconds N           length of one measurement of small requests; 2
  --quick               less of everything, one round; the numbers are noisy
  --program FILE        a bundle of our server (dist/registry.js); made from the sources unless given
  --base FILE           another bundle, measured in turn with it
  --servers NAME[,NAME] some of ${Object.keys(SUBJECT_TITLES).join(', ')}
  --list                print the names of the rows
  --profile             also find out where the processors' time goes in our server
  --write               put the tables into docs/benchmarks.md
  --folder DIR          where the content lies; the folder of caches
`;

export interface BenchOptions {
  readonly mode: 'rows' | 'load' | 'list';
  readonly only: readonly string[];
  readonly rounds: number | undefined;
  readonly seconds: number | undefined;
  readonly quick: boolean;
  readonly servers: readonly SubjectId[];
  readonly profile: boolean;
  readonly write: boolean;
  readonly folder: string | undefined;
  readonly program: string | undefined;
  readonly base: string | undefined;
  readonly minutes: number;
}

/** @returns undefined when the arguments cannot be understood */
export function parseOptions(args: readonly string[]): BenchOptions | undefined {
  try {
    return parse(args);
  } catch {
    return undefined;
  }
}

function parse(args: readonly string[]): BenchOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      only: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      servers: { type: 'string' },
      list: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      folder: { type: 'string' },
      program: { type: 'string' },
      base: { type: 'string' },
      minutes: { type: 'string', default: '5' },
    },
  });
  const isLoad = positionals.length === 1 && positionals[0] === 'load';
  if (positionals.length > 0 && !isLoad) throw new Error(`what is ${positionals.join(' ')}?`);
  const { quick, profile, write, folder } = values;
  const [program, base] = [values.program, values.base].map((file) => file && resolve(file));
  return {
    mode: isLoad ? 'load' : values.list ? 'list' : 'rows',
    only: words(values.only),
    rounds: values.rounds === undefined ? undefined : positive(values.rounds, true),
    seconds: values.seconds === undefined ? undefined : positive(values.seconds, false),
    quick,
    servers: servers(values.servers, base !== undefined),
    profile,
    write,
    folder,
    program,
    base,
    minutes: positive(values.minutes, false),
  };
}

function words(list: string | undefined): string[] {
  return list?.split(',').filter((word) => word !== '') ?? [];
}

function positive(text: string, whole: boolean): number {
  const number = Number(text);
  if (!(number > 0) || (whole && !Number.isInteger(number)))
    throw new Error(`${text} is not a number above 0`);
  return number;
}

function servers(list: string | undefined, hasBase: boolean): SubjectId[] {
  const all = Object.keys(SUBJECT_TITLES) as SubjectId[];
  const wanted = list === undefined ? all : words(list);
  if (wanted.some((name) => !all.some((id) => id === name))) throw new Error(`no server ${list}`);
  return all.filter((id) => wanted.includes(id) && (hasBase || id !== 'base'));
}
