import { installDebianPackages } from './apt.mjs';
import { installBenchTools } from './go-tools.mjs';
import { installPackages } from './packages.mjs';
import { NODE } from './paths.mjs';
import { runForeground } from './process.mjs';
import { installTools } from './tools.mjs';

/**
 * Sends the server random input for a while: `npm run fuzz [-- --minutes N] [--seed N]`.
 *
 * @param {string[]} args
 * @returns {Promise<number>} exit status
 */
export async function fuzz(args) {
  await installPackages({ dev: true });
  return runForeground(NODE, ['test/fuzz/main.ts', ...args]);
}

/**
 * Kills the server under load many times: `npm run test:crash [-- --rounds N]`.
 *
 * @param {string[]} args
 * @returns {Promise<number>} exit status
 */
export async function crash(args) {
  await installPackages({ dev: true });
  await installTools();
  return runForeground(NODE, ['test/crash/main.ts', ...args]);
}

/**
 * Compares the server with others: `npm run bench [-- --only ROW] [-- load]`.
 *
 * @param {string[]} args
 * @returns {Promise<number>} exit status
 */
export async function bench(args) {
  await installPackages({ dev: true });
  await installDebianPackages({ nice: false, only: ['docker-registry'] });
  await installBenchTools();
  return runForeground(NODE, ['test/bench/main.ts', ...args]);
}
