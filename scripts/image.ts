import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import packageJson from '../package.json' with { type: 'json' };
import { build, DIST } from './build.ts';
import { writeArchive } from './image/archive.ts';
import { buildLayer, type Layer } from './image/layer.ts';
import { applicationFiles, runtimeFiles } from './image/root-files.ts';

/** Name of the published image; the tag is the version. */
const REPOSITORY = 'ghcr.io/registry-operator/registry-operator';
const SOURCE = 'https://github.com/registry-operator/registry-operator';

/** More would mean that something got in that does not belong there. */
const MAX_UNPACKED_BYTES = 130_000_000;

/** Node's name of an architecture → the name in image manifests. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

interface BuiltImage {
  readonly file: string;
  /** `repository:version`, the name that the image has after a load. */
  readonly name: string;
  /** Digest of the manifest; the same for the same inputs. */
  readonly digest: string;
  /** Bytes of all files in the image. */
  readonly unpackedSize: number;
}

/**
 * Bundles the programs and writes the container image for the architecture of this machine, without root, a
 * container runtime or network.
 *
 * @throws Error on another system than Linux, and when the image is larger than 130 MB unpacked
 */
export async function buildImage(file: string): Promise<BuiltImage> {
  const architecture = ARCHITECTURES[process.arch];
  if (process.platform !== 'linux' || architecture === undefined) {
    throw new Error('the image holds libraries of this machine: it can be made only on Linux, x64 or arm64');
  }
  const layers = await buildLayers();
  const unpackedSize = layers.reduce((sum, layer) => sum + layer.unpackedSize, 0);
  if (unpackedSize > MAX_UNPACKED_BYTES) {
    throw new Error(`the image has ${unpackedSize} bytes unpacked, more than ${MAX_UNPACKED_BYTES}`);
  }
  const { version } = packageJson;
  await mkdir(dirname(file), { recursive: true });
  const digest = await writeArchive(
    file,
    { repository: REPOSITORY, version, architecture, annotations: annotations() },
    layers,
  );
  return { file, name: `${REPOSITORY}:${version}`, digest, unpackedSize };
}

/** The runtime and the application; bundles into a folder of its own, so that `dist` is left alone. */
async function buildLayers(): Promise<Layer[]> {
  const folder = await mkdtemp(join(tmpdir(), 'image-'));
  try {
    const bundles = await build(folder);
    return await Promise.all([
      buildLayer(await runtimeFiles(nodePackage())),
      buildLayer(await applicationFiles(folder, bundles)),
    ]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Folder of the npm package that brings Node's binary, pinned by the lockfile. */
function nodePackage(): string {
  const require = createRequire(import.meta.url);
  return dirname(require.resolve(`node-linux-${process.arch}/package.json`));
}

function annotations(): Record<string, string> {
  return {
    'org.opencontainers.image.title': packageJson.name,
    'org.opencontainers.image.description': packageJson.description,
    'org.opencontainers.image.version': packageJson.version,
    'org.opencontainers.image.source': SOURCE,
    'org.opencontainers.image.licenses': packageJson.license,
  };
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { output: { type: 'string', default: join(DIST, 'image.tar') } } });
  const { file, name, digest, unpackedSize } = await buildImage(resolve(values.output));
  console.log(`${relative('', file)}: ${name} ${digest}, ${(unpackedSize / 1e6).toFixed(1)} MB unpacked`);
}
