import { installPackages } from './packages.mjs';
import { NODE } from './paths.mjs';
import { runForeground } from './process.mjs';

const QUICKSTART = 'examples/quickstart.yaml';

/**
 * Runs the operator on this host, without a cluster. Needs npm and nothing else: no root, no Go.
 *
 * @param {string[]} args the file of resources and further options of `operator local`
 * @returns {Promise<number>} exit status of the operator
 */
export async function start(args) {
  await installPackages({ dev: false });
  const operands = args.length > 0 ? args : [QUICKSTART];
  return runForeground(NODE, ['src/operator/main.ts', 'local', ...operands]);
}
