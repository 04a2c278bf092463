import { buildImage } from './build.mjs';
import { requireRoot } from './machine.mjs';
import { installPackages } from './packages.mjs';
import { NODE } from './paths.mjs';
import { runForeground } from './process.mjs';
import { SetupError } from './report.mjs';
import { installTools } from './tools.mjs';

/**
 * A one-node Kubernetes on this machine with the operator installed.
 *
 * @param {string[]} args `up`, `down` or `status`
 * @returns {Promise<number>} exit status
 */
export async function cluster([command, ...rest]) {
  if (!['up', 'down', 'status'].includes(command) || rest.length > 0) {
    throw new SetupError('usage: npm run cluster -- up|down|status');
  }
  requireRoot('a cluster');
  await installPackages({ dev: true });
  if (command === 'up') {
    await installTools();
    await buildImage();
  }
  return runForeground(NODE, ['test/cluster/main.ts', command]);
}
