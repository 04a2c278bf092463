import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { packTar } from 'modern-tar';

import { type Blob, buildLayer, bytesContent, jsonBlob, type Layer } from '../../../scripts/image/layer.ts';

export const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json';
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip';

/** Tag of the image in its layout. */
export const LAYOUT_TAG = 'v1';
const EPOCH = new Date(0);

/** What an image of this machine's architecture is called there. */
const ARCHITECTURE = process.arch === 'x64' ? 'amd64' : process.arch;
const ARCHITECTURES = [ARCHITECTURE, ARCHITECTURE === 'arm64' ? 'amd64' : 'arm64'] as const;

/** An image for two architectures that has never existed before, so that no client or server knows its layers. */
export interface TestImage {
  /** Digest of the index. */
  readonly index: string;
  /** Digest of the manifest for this machine. */
  readonly manifest: string;
  /** Digest of the configuration for this machine. */
  readonly config: string;
  /** By digest: the index and the manifests of both architectures. */
  readonly manifests: ReadonlyMap<string, Buffer>;
  /** By digest: configurations and layers of both architectures, of which one layer is the same. */
  readonly blobs: ReadonlyMap<string, Buffer>;
  /** OCI image layout; its tag is {@link LAYOUT_TAG}. */
  readonly layoutFolder: string;
  /** The same as a tar file, in which docker finds the image of this machine too, by `name`. */
  readonly archive: string;
}

/**
 * Makes an image with layers of a few hundred kilobytes, one of 2 MiB.
 *
 * @param folder receives the layout and the archive
 * @param name as a load calls it, with a tag
 */
export async function makeImage(folder: string, name: string): Promise<TestImage> {
  const shared = await layerOf('shared.bin', 2 << 20);
  const platforms = await Promise.all(
    ARCHITECTURES.map(async (architecture) => makePlatform(architecture, shared)),
  );
  const index = jsonBlob({
    schemaVersion: 2,
    mediaType: INDEX_TYPE,
    manifests: platforms.map(({ manifest, architecture }) => ({
      ...descriptor(MANIFEST_TYPE, manifest),
      platform: { os: 'linux', architecture },
    })),
  });
  const [own] = platforms;
  if (!own) throw new Error('no platform');
  const manifests = contentOf([index, ...platforms.map(({ manifest }) => manifest)]);
  const blobs = contentOf([shared, ...platforms.flatMap(({ config, layer }) => [config, layer])]);
  const files = new Map([
    ['oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}')],
    ['index.json', Buffer.from(JSON.stringify(layoutIndex(index, name)))],
    ...[...manifests, ...blobs].map(([digest, bytes]) => [blobPath(digest), bytes] as const),
  ]);
  const layoutFolder = join(folder, 'layout');
  await writeFiles(layoutFolder, files);
  const docker = [
    { Config: blobPath(own.config.digest), RepoTags: [name], Layers: own.layers.map(blobPath) },
  ];
  const archive = join(folder, 'image.tar');
  await writeTar(archive, new Map([...files, ['manifest.json', Buffer.from(JSON.stringify(docker))]]));
  return {
    index: index.digest,
    manifest: own.manifest.digest,
    config: own.config.digest,
    manifests,
    blobs,
    layoutFolder,
    archive,
  };
}

interface Platform {
  readonly architecture: string;
  readonly config: Blob;
  readonly manifest: Blob;
  readonly layer: Layer;
  readonly layers: readonly [string, string];
}

async function makePlatform(architecture: string, shared: Layer): Promise<Platform> {
  const layer = await layerOf(`${architecture}.bin`, 300_000);
  const layers = [shared, layer] as const;
  const config = jsonBlob({
    created: EPOCH.toISOString(),
    architecture,
    os: 'linux',
    config: { Env: ['PATH=/usr/bin:/bin'], Entrypoint: [`/${architecture}.bin`], WorkingDir: '/' },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(() => ({ created: EPOCH.toISOString(), created_by: 'a test' })),
  });
  const manifest = jsonBlob({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: descriptor(CONFIG_TYPE, config),
    layers: layers.map((entry) => descriptor(LAYER_TYPE, entry)),
  });
  return { architecture, config, manifest, layer, layers: [shared.digest, layer.digest] };
}

/** A layer of one file with random bytes. */
async function layerOf(path: string, size: number): Promise<Layer> {
  return buildLayer([{ path, type: 'file', mode: 0o755, content: bytesContent(randomBytes(size)) }]);
}

function layoutIndex(index: Blob, name: string): object {
  const annotations = {
    'io.containerd.image.name': name,
    'org.opencontainers.image.ref.name': LAYOUT_TAG,
  };
  const manifests = [{ ...descriptor(INDEX_TYPE, index), annotations }];
  return { schemaVersion: 2, mediaType: INDEX_TYPE, manifests };
}

function descriptor(mediaType: string, { digest, content }: Blob): object {
  return { mediaType, digest, size: content.size };
}

function contentOf(blobs: readonly Blob[]): Map<string, Buffer> {
  return new Map(blobs.map((blob) => [blob.digest, bytesOf(blob)]));
}

function blobPath(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

/** All blobs here are in memory, whose `read` is no asynchronous one. */
function bytesOf({ content }: Blob): Buffer {
  const chunks = content.read();
  if (Symbol.asyncIterator in chunks) throw new Error('the content is not in memory');
  return Buffer.concat([...chunks]);
}

async function writeFiles(folder: string, files: ReadonlyMap<string, Buffer>): Promise<void> {
  for (const [path, bytes] of files) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), bytes);
  }
}

async function writeTar(file: string, files: ReadonlyMap<string, Buffer>): Promise<void> {
  const entries = [...files].map(([name, body]) => ({
    header: { name, size: body.length, mtime: EPOCH },
    body,
  }));
  await writeFile(file, await packTar(entries));
}
