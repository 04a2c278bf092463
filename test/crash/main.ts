import { parseArgs } from 'node:util';

import { STORAGE_NAMES, type StorageName, withTrial } from './storages.ts';

const USAGE = 'usage: npm run test:crash -- [--rounds N] [--seed N] [--storage filesystem|s3|both]\n';

interface Options {
  readonly rounds: number;
  readonly seed: number;
  readonly storages: readonly StorageName[];
}

function parse(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '200' },
      seed: { type: 'string', default: String(Date.now() % 2 ** 32) },
      storage: { type: 'string', default: 'both' },
    },
  });
  const [rounds, seed] = [Number(values.rounds), Number(values.seed)];
  const storages = STORAGE_NAMES.filter((name) => values.storage === 'both' || values.storage === name);
  const valid = Number.isInteger(rounds) && rounds > 0 && Number.isInteger(seed) && storages.length > 0;
  return valid ? { rounds, seed, storages } : undefined;
}

/** @returns how many rounds lost something */
async function runAll({ rounds, seed, storages }: Options): Promise<number> {
  let failed = 0;
  for (const [index, name] of storages.entries()) {
    const share = Math.floor(rounds / storages.length) + (index < rounds % storages.length ? 1 : 0);
    process.stdout.write(`${name}: ${share} rounds, seed ${seed}\n`);
    await withTrial(name, seed, async (trial) => {
      for (let round = 1; round <= share; round++) {
        const problems = await trial.round();
        process.stdout.write(`${name} ${round}: ${trial.done} acknowledged, ${problems.length} problems\n`);
        for (const problem of problems) process.stdout.write(`  ${problem}\n`);
        if (problems.length > 0) failed += 1;
      }
    });
  }
  process.stdout.write(failed === 0 ? 'nothing was lost\n' : `${failed} rounds failed; seed ${seed}\n`);
  return failed;
}

let options: Options | undefined;
try {
  options = parse(process.argv.slice(2));
} catch {
  options = undefined;
}
if (options === undefined) {
  process.stderr.write(USAGE);
  process.exitCode = 2;
} else {
  process.exitCode = (await runAll(options)) === 0 ? 0 : 1;
}
