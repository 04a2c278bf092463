import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { configurationReference } from './generate/configuration-reference.ts';
import { crdManifests } from './generate/crd-manifests.ts';
import { crdReference } from './generate/crd-reference.ts';
import { errorsReference } from './generate/errors-reference.ts';
import type { GeneratedFile } from './generate/generated-file.ts';
import { metricsReference } from './generate/metrics-reference.ts';

/**
 * Writes the files that follow from the sources: `node scripts/generate.ts`. With `--check` it writes nothing and
 * fails when one of them is not what it would write.
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url));

function generate(): GeneratedFile[] {
  return [...crdManifests(), crdReference(), configurationReference(), metricsReference(), errorsReference()];
}

/** The paths of the files whose text is not the generated one. */
async function outdated(files: readonly GeneratedFile[]): Promise<string[]> {
  const states = await Promise.all(
    files.map(async ({ path, text }) => ({ path, same: (await readText(join(ROOT, path))) === text })),
  );
  return states.filter(({ same }) => !same).map(({ path }) => path);
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
}

async function write({ path, text }: GeneratedFile): Promise<void> {
  const target = join(ROOT, path);
  await mkdir(dirname(target), { recursive: true });
  await writeFile(target, text);
}

async function main(args: readonly string[]): Promise<number> {
  const files = generate();
  if (!args.includes('--check')) {
    await Promise.all(files.map((file) => write(file)));
    return 0;
  }
  const paths = await outdated(files);
  if (paths.length === 0) return 0;
  console.error(`not up to date, run npm run generate:\n${paths.map((path) => `  ${path}`).join('\n')}`);
  return 1;
}

process.exitCode = await main(process.argv.slice(2));
