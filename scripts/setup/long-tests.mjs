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
