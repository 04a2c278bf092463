import { parseArgs } from 'node:util';

import { reproducer } from './results.ts';
import { fuzz, type FuzzReport } from './run.ts';

/**
 * Sends a registry server random and changed requests and reports what it does not stand:
 *
 *     npm run fuzz [-- --minutes 10] [--seed N] [--clients 12]
 *
 * Ends with status 1 and the bytes that did it when there is a 5xx that is no limit, an answer that is no HTTP, a crash,
 * memory without a bound, an event loop that stands still, or content that was acknowledged and is not there.
 */
async function main(args: readonly string[]): Promise<number> {
  const options = optionsOf(args);
  if (options === undefined) {
    console.error('usage: npm run fuzz -- [--minutes N] [--seed N] [--clients N], all above zero');
    return 2;
  }
  const { minutes, seed, clients } = options;
  console.log(`seed ${seed}, ${minutes} minutes, ${clients} clients`);
  const seconds = minutes * 60;
  for (const [secured, share] of [
    [false, 0.8],
    [true, 0.2],
  ] as const) {
    console.log(secured ? '\nhttps, with a user' : '\nhttp, open to everybody');
    const report = await fuzz({ seed, seconds: seconds * share, clients, secured, progress: printProgress });
    printReport(report);
    if (report.failures.length > 0) return 1;
  }
  return 0;
}

/** @returns undefined when they cannot be understood */
function optionsOf(args: readonly string[]): { minutes: number; seed: number; clients: number } | undefined {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        minutes: { type: 'string', default: '10' },
        seed: { type: 'string', default: String(Date.now() % 2 ** 32) },
        clients: { type: 'string', default: '12' },
      },
    });
    const [minutes, seed, clients] = [Number(values.minutes), Number(values.seed), Number(values.clients)];
    const valid = [minutes, seed, clients].every((value) => Number.isFinite(value) && value > 0);
    return valid ? { minutes, seed, clients } : undefined;
  } catch {
    return undefined;
  }
}

function printProgress(results: { requests: number }, vitals: { maxRss: number; maxLatency: number }): void {
  const memory = Math.round(vitals.maxRss / 2 ** 20);
  console.log(
    `  ${results.requests} requests, ${memory} MiB, /livez within ${Math.round(vitals.maxLatency)} ms`,
  );
}

function printReport(report: FuzzReport): void {
  const statuses = [...report.statuses].toSorted(([left], [right]) => left - right);
  console.log(`${report.requests} requests, ${Math.round(report.requests / report.seconds)} per second`);
  console.log(`statuses: ${statuses.map(([status, count]) => `${status}: ${count}`).join(', ')}`);
  console.log(`limits reached: ${report.limited}; acknowledged and read again: ${report.acknowledged}`);
  console.log(
    `most memory: ${Math.round(report.maxRss / 2 ** 20)} MiB; slowest /livez: ${Math.round(report.maxLatency)} ms`,
  );
  for (const failure of report.failures.slice(0, 5)) console.log(`\nFAILED: ${reproducer(failure)}`);
}

process.exitCode = await main(process.argv.slice(2));
