/**
 * Set-up on a fresh machine. Plain JavaScript without packages, because it runs before anything is installed,
 * under whatever Node (18 or newer) the machine has; the project itself runs under Node 26, which is installed
 * with the other packages.
 *
 *   node scripts/setup.mjs start [FILE] [OPTION …]  run the operator without a cluster
 *   node scripts/setup.mjs test [TIER ...]          run the tests
 *   node scripts/setup.mjs image [--output FILE]    make the container image
 *   node scripts/setup.mjs cluster up|down|status   a one-node cluster with the operator installed
 *   node scripts/setup.mjs fuzz [OPTION ...]        send the registry server random input
 *   node scripts/setup.mjs crash [OPTION ...]       kill the registry server under load
 *   node scripts/setup.mjs bench [OPTION ...]       compare the registry server with others
 */
import { dirname } from 'node:path';

import { image } from './setup/build.mjs';
import { cluster } from './setup/cluster.mjs';
import { bench, crash, fuzz } from './setup/long-tests.mjs';
import { CACHE } from './setup/paths.mjs';
import { SetupError } from './setup/report.mjs';
import { start } from './setup/start.mjs';
import { test } from './setup/test.mjs';

const USAGE =
  'usage: node scripts/setup.mjs start [FILE] [OPTION ...] | test [TIER ...] | image [--output FILE] | cluster up|down|status | fuzz | crash | bench';

/** @returns {Promise<number>} exit status of the process */
async function main([command, ...args]) {
  switch (command) {
    case 'start':
      return start(args);
    case 'test':
      return test(args);
    case 'image':
      return image(args);
    case 'cluster':
      return cluster(args);
    case 'fuzz':
      return fuzz(args);
    case 'crash':
      return crash(args);
    case 'bench':
      return bench(args);
    default:
      throw new SetupError(USAGE);
  }
}

/** Failures of the machine, such as a full disk, are told by their message; those of this program by their stack. */
function describe(error) {
  if (error instanceof SetupError) {
    return `\nerror: ${error.message}`;
  }
  if (!error?.syscall) {
    return error;
  }
  const inCache = error.path?.startsWith(dirname(CACHE));
  const hint = inCache ? '\nSet REGISTRY_OPERATOR_CACHE to a folder that you can write to.' : '';
  return `\nerror: ${error.message}${hint}`;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(describe(error));
  process.exitCode = 1;
}
