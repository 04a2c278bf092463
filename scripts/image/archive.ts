import { createWriteStream } from 'node:fs';
import { rename } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

import {
  bytesContent,
  jsonBlob,
  tarStream,
  type Blob,
  type Content,
  type Layer,
  type TarEntry,
} from './layer.ts';
import { NONROOT } from './root-files.ts';

/** What identifies an image. */
export interface ImageDescription {
  /** Name without a tag. */
  readonly repository: string;
  readonly version: string;
  /** As Go calls it: `amd64`, `arm64`. */
  readonly architecture: string;
  /** `org.opencontainers.image.*`; the same as labels of the config and as annotations of the manifest. */
  readonly annotations: Readonly<Record<string, string>>;
}

const MEDIA_TYPES = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
} as const;

const EPOCH = new Date(0).toISOString();

/**
 * Writes an image as one tar file that is an OCI image layout (OCI image-spec, image-layout.md) and that also
 * carries the manifest.json of `docker save`, so that docker, containerd, skopeo and podman all load it.
 *
 * @returns the digest of the image manifest
 */
export async function writeArchive(
  file: string,
  image: ImageDescription,
  layers: readonly Layer[],
): Promise<string> {
  const config = jsonBlob(imageConfig(image, layers));
  const manifest = jsonBlob({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.manifest,
    config: descriptor(MEDIA_TYPES.config, config),
    layers: layers.map((layer) => descriptor(MEDIA_TYPES.layer, layer)),
    annotations: image.annotations,
  });
  const entries = [
    plainFile('oci-layout', bytesContent('{"imageLayoutVersion":"1.0.0"}')),
    plainFile('index.json', jsonBlob(imageIndex(image, manifest)).content),
    plainFile('manifest.json', jsonBlob(dockerManifest(image, config, layers)).content),
    folder('blobs'),
    folder('blobs/sha256'),
    ...[config, manifest, ...layers].map((blob) => plainFile(blobPath(blob), blob.content)),
  ];
  const unfinished = `${file}.${process.pid}.tmp`;
  await pipeline(tarStream(entries), createWriteStream(unfinished));
  await rename(unfinished, file);
  return manifest.digest;
}

function imageConfig(image: ImageDescription, layers: readonly Layer[]): object {
  return {
    created: EPOCH,
    architecture: image.architecture,
    os: 'linux',
    config: {
      User: `${NONROOT}:${NONROOT}`,
      ExposedPorts: { '5000/tcp': {}, '8080/tcp': {}, '9090/tcp': {} },
      Env: ['PATH=/usr/bin', 'NODE_ENV=production'],
      Entrypoint: ['/usr/bin/node', '/app/registry.js'],
      WorkingDir: '/',
      Labels: image.annotations,
    },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
    history: ['runtime', 'application'].map((part) => ({
      created: EPOCH,
      created_by: `npm run image: ${part}`,
    })),
  };
}

function imageIndex(image: ImageDescription, manifest: Blob): object {
  return {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.index,
    manifests: [
      {
        ...descriptor(MEDIA_TYPES.manifest, manifest),
        platform: { os: 'linux', architecture: image.architecture },
        annotations: {
          // What containerd names the image at an import.
          'io.containerd.image.name': `${image.repository}:${image.version}`,
          'org.opencontainers.image.ref.name': image.version,
        },
      },
    ],
  };
}

/** The list that `docker load` reads. */
function dockerManifest(image: ImageDescription, config: Blob, layers: readonly Layer[]): object {
  return [
    {
      Config: blobPath(config),
      RepoTags: [`${image.repository}:${image.version}`],
      Layers: layers.map((layer) => blobPath(layer)),
    },
  ];
}

function descriptor(mediaType: string, blob: Blob): object {
  return { mediaType, digest: blob.digest, size: blob.content.size };
}

function blobPath(blob: Blob): string {
  return `blobs/${blob.digest.replace(':', '/')}`;
}

function plainFile(path: string, content: Content): TarEntry {
  return { path, type: 'file', mode: 0o644, content };
}

function folder(path: string): TarEntry {
  return { path, type: 'directory', mode: 0o755 };
}
