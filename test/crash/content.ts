import { hash } from 'node:crypto';

export const IMAGE_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const EMPTY_CONFIG = '{}';

export function digestOf(bytes: Uint8Array | string): string {
  return `sha256:${hash('sha256', bytes, 'hex')}`;
}

export interface Blob {
  readonly digest: string;
  readonly bytes: Buffer;
}

export function blobOf(bytes: Buffer): Blob {
  return { digest: digestOf(bytes), bytes };
}

/** The config of every manifest: all clients push the same blob. */
export const CONFIG = blobOf(Buffer.from(EMPTY_CONFIG));

/** A manifest of the layers; with `subject` it is a referrer. */
export function manifestOf(layers: readonly Blob[], salt: string, subject?: Blob): Blob {
  const descriptor = ({ digest, bytes }: Blob, mediaType: string): object => ({
    mediaType,
    digest,
    size: bytes.length,
  });
  const manifest = {
    schemaVersion: 2,
    mediaType: IMAGE_TYPE,
    ...(subject === undefined ? {} : { artifactType: 'application/vnd.example.signature' }),
    config: descriptor(CONFIG, 'application/vnd.oci.empty.v1+json'),
    layers: layers.map((layer) => descriptor(layer, 'application/vnd.oci.image.layer.v1.tar')),
    ...(subject === undefined ? {} : { subject: descriptor(subject, IMAGE_TYPE) }),
    annotations: { salt },
  };
  return blobOf(Buffer.from(JSON.stringify(manifest)));
}
