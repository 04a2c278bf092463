import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { fingerprint } from './fingerprint.mjs';
import { CACHE, NODE, ROOT } from './paths.mjs';
import { projectEnvironment, runLogged } from './process.mjs';
import { reporter } from './report.mjs';

const DIST = join(ROOT, 'dist');
const STAMP = join(DIST, '.image-inputs');
/** What the image depends on; tests, documents and charts are not among it. */
const INPUTS = ['src', 'scripts', 'package.json', 'package-lock.json'];
const OUTPUTS = ['registry.js', 'operator.js', 'image.tar'];

/** Makes the bundles and the container image, unless they are there and their inputs have not changed. */
export async function buildImage() {
  const inputs = fingerprint(INPUTS, [process.arch]);
  if (isBuilt(inputs)) {
    return;
  }
  await reporter.step('making the bundles and the container image', async () => {
    rmSync(STAMP, { force: true });
    const log = join(CACHE, 'logs', 'image.log');
    await runLogged(NODE, ['scripts/image.ts'], { log, env: projectEnvironment() });
    mkdirSync(DIST, { recursive: true });
    writeFileSync(STAMP, inputs);
  });
}

function isBuilt(inputs) {
  return (
    existsSync(STAMP) &&
    readFileSync(STAMP, 'utf8') === inputs &&
    OUTPUTS.every((name) => existsSync(join(DIST, name)))
  );
}
