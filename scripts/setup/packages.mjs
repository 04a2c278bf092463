import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { checkPlatform, requireDisk, requireWritable } from './machine.mjs';
import { CACHE, NODE, ROOT } from './paths.mjs';
import { capture, runLogged } from './process.mjs';
import { reporter, SetupError } from './report.mjs';

const MODULES = join(ROOT, 'node_modules');
const STAMP = join(MODULES, '.setup-stamp.json');
// No `npm ci`: it refuses a lockfile that lacks the optional packages of other platforms.
const INSTALL = ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts'];

/**
 * Makes `node_modules` match the lockfile, unless it does already. An installation with development packages also
 * serves where they are not needed, and is never stripped of them.
 *
 * @param {{dev: boolean}} options `dev`: whether development packages are needed
 */
export async function installPackages({ dev }) {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const wanted = stampFor(manifest);
  if (isInstalled(manifest, wanted, dev)) {
    return;
  }
  checkPlatform();
  requireWritable(ROOT);
  requireDisk(ROOT, 1.5, 'installing packages');
  const keepDev = dev || hasAll(Object.keys(manifest.devDependencies));
  const title = `installing npm packages${keepDev ? ', with those for development' : ''}`;
  await reporter.step(title, async () => {
    rmSync(STAMP, { force: true });
    const args = keepDev ? [...INSTALL, '--include=dev'] : [...INSTALL, '--omit=dev'];
    const [command, argv] = npmCommand(args);
    await runLogged(command, argv, { log: join(CACHE, 'logs', 'npm-install.log') });
    linkNode(Object.keys(manifest.optionalDependencies));
    await checkNode(wanted.node);
    writeFileSync(STAMP, JSON.stringify({ ...wanted, dev: keepDev }));
  });
}

/** The npm that runs this script, under the Node that runs this script; else the one in `PATH`. */
function npmCommand(args) {
  const cli = process.env.npm_execpath;
  return cli?.endsWith('.js') ? [process.execPath, [cli, ...args]] : ['npm', args];
}

function stampFor(manifest) {
  const lockfile = readFileSync(join(ROOT, 'package-lock.json'));
  return {
    lockfile: createHash('sha256').update(lockfile).digest('hex'),
    node: Object.values(manifest.optionalDependencies)[0],
    platform: `${process.platform}-${process.arch}`,
  };
}

function isInstalled(manifest, wanted, dev) {
  if (!existsSync(STAMP) || !existsSync(NODE)) {
    return false;
  }
  const found = JSON.parse(readFileSync(STAMP, 'utf8'));
  const names = [
    ...Object.keys(manifest.dependencies),
    ...(dev ? Object.keys(manifest.devDependencies) : []),
  ];
  return (
    Object.entries(wanted).every(([key, value]) => found[key] === value) &&
    (found.dev || !dev) &&
    hasAll(names)
  );
}

function hasAll(names) {
  return names.every((name) => existsSync(join(MODULES, name, 'package.json')));
}

/** npm 10 installs the package that fits this machine, but does not link its program. */
function linkNode(packages) {
  const file = packages
    .map((name) => join(name, 'bin', 'node'))
    .find((path) => existsSync(join(MODULES, path)));
  if (file && !existsSync(NODE)) {
    symlinkSync(join('..', file), NODE);
  }
}

async function checkNode(version) {
  const { stdout, stderr } = await capture(NODE, ['--version']);
  if (stdout.trim() !== `v${version}`) {
    throw new SetupError(
      `Node ${version} from node_modules does not run here: ${stderr.trim() || stdout.trim()}\n` +
        'On Linux it needs glibc 2.28 or newer.',
    );
  }
}
