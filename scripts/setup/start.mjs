import { installPackages } from './packages.mjs';
import { NODE } from './paths.mjs';
import { runForeground } from './process.mjs';

const QUICKSTART = 'examples/quickstart.yaml';

const USAGE = `usage: npm start -- [FILE] [options]

Runs the Registry of FILE (default ${QUICKSTART}) on this machine, without a cluster.
Secrets and ConfigMaps that it names stand in the same file, as further YAML documents.

  --listen HOST:PORT  address of the registry; default 127.0.0.1:5000
  --ops HOST:PORT     address of /livez, /readyz and /metrics; default 127.0.0.1:9090
  --state DIR         folder that keeps content and certificates; default ~/.local/state/registry-operator`;

/**
 * Runs the operator on this host, without a cluster. Needs npm and nothing else: no root, no Go.
 *
 * @param {string[]} args the file of resources and further options of `operator local`
 * @returns {Promise<number>} exit status of the operator
 */
export async function start(args) {
  if (args.includes('--help') || args.includes('-h')) {
    console.log(USAGE);
    return 0;
  }
  await installPackages({ dev: false });
  // Options alone are options for the default file.
  const operands = args.length === 0 || args[0].startsWith('-') ? [QUICKSTART, ...args] : args;
  return runForeground(NODE, ['src/operator/main.ts', 'local', ...operands], { channel: true });
}
