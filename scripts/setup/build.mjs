import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { fingerprint } from './fingerprint.mjs';
import { installPackages } from './packages.mjs';
import { CACHE, NODE, ROOT } from './paths.mjs';
import { projectEnvironment, runForeground, runLogged } from './process.mjs';
import { reporter } from './report.mjs';

const DIST = join(ROOT, 'dist');
const STAMP = join(DIST, '.image-inputs');
/** What the image depends on; tests, documents and charts are not among it. */
const INPUTS = ['src', 'scripts', 'package.json', 'package-lock.json'];
const OUTPUTS = ['registry.js', 'operator.js', 'image.tar'];

/**
 * `npm run image`, also in a fresh checkout: the bundles in `dist`, and the image, whose name and digest are printed.
 *
 * @param {string[]} args options of `scripts/image.ts`
 * @returns {Promise<number>} exit status
 */
export async function image(args) {
  await installPackages({ dev: true });
  await reporter.step('bundling the programs', () => run('scripts/build.ts', 'build'));
  return runForeground(NODE, ['scripts/image.ts', ...args]);
}

/** Makes the bundles and the container image, unless they are there and their inputs have not changed. */
export async function buildImage() {
  const inputs = fingerprint(INPUTS, [process.arch]);
  if (isBuilt(inputs)) {
    return;
  }
  rmSync(STAMP, { force: true });
  await reporter.step('bundling the programs', () => run('scripts/build.ts', 'build'));
  await reporter.step('making the container image', () => run('scripts/image.ts', 'image'));
  writeFileSync(STAMP, inputs);
}

function run(script, name) {
  return runLogged(NODE, [script], { log: join(CACHE, 'logs', `${name}.log`), env: projectEnvironment() });
}

function isBuilt(inputs) {
  return (
    existsSync(STAMP) &&
    readFileSync(STAMP, 'utf8') === inputs &&
    OUTPUTS.every((name) => existsSync(join(DIST, name)))
  );
}
