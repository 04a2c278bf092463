import { createHash, randomBytes } from 'node:crypto';

export type Algorithm = 'sha256' | 'sha512';

export const ALGORITHMS: readonly Algorithm[] = ['sha256', 'sha512'];

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json';
export const OCI_EMPTY = 'application/vnd.oci.empty.v1+json';
export const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar';
export const OCI_FOREIGN_LAYER = 'application/vnd.oci.image.layer.nondistributable.v1.tar';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const OCTETS = 'application/octet-stream';
/** Types of artifacts that nobody else has. */
export const ARTIFACT_ONE = 'application/vnd.example.suite.one';
export const ARTIFACT_TWO = 'application/vnd.example.suite.two';

/** OCI image-spec descriptor; further members are allowed. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly data?: string;
  readonly urls?: readonly string[];
  readonly platform?: { readonly os: string; readonly architecture: string };
}

/** A manifest or index that is ready to be pushed. */
export interface Document {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

export function digestOf(bytes: Uint8Array | string, algorithm: Algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

/** Bytes that no other test has. */
export function noise(size: number): Buffer {
  return randomBytes(size);
}

/** Digest of content that exists nowhere. */
export function missingDigest(algorithm: Algorithm = 'sha256'): string {
  return digestOf(noise(32), algorithm);
}

export function descriptorOf(
  bytes: Uint8Array,
  mediaType: string,
  algorithm: Algorithm = 'sha256',
): Descriptor {
  return { mediaType, digest: digestOf(bytes, algorithm), size: bytes.length };
}

/** A JSON document of a manifest type, with its descriptor. */
export function document(
  body: Readonly<Record<string, unknown>> & { readonly mediaType: string },
  algorithm: Algorithm = 'sha256',
): Document {
  const bytes = Buffer.from(JSON.stringify(body));
  return { bytes, descriptor: descriptorOf(bytes, body.mediaType, algorithm) };
}

/** The members of a manifest that a test cares about; all have defaults. */
export interface ImageOptions {
  readonly algorithm?: Algorithm;
  readonly config?: Descriptor;
  readonly layers?: readonly Descriptor[];
  /** Members beside the usual ones: `subject`, `annotations`, `artifactType`, what the specification does not know. */
  readonly members?: Readonly<Record<string, unknown>>;
}

/** The config of an artifact: two bytes, `{}`. */
export const EMPTY_JSON = Buffer.from('{}');

/** An image manifest; without options it needs only the blob {@link EMPTY_JSON}. */
export function image({
  algorithm = 'sha256',
  config,
  layers = [],
  members = {},
}: ImageOptions = {}): Document {
  return document(
    {
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: config ?? descriptorOf(EMPTY_JSON, OCI_EMPTY, algorithm),
      layers,
      ...members,
    },
    algorithm,
  );
}

/** An image index of these children. */
export function index(
  manifests: readonly Descriptor[],
  members: Readonly<Record<string, unknown>> = {},
  algorithm: Algorithm = 'sha256',
): Document {
  return document({ schemaVersion: 2, mediaType: OCI_INDEX, manifests, ...members }, algorithm);
}

/** An image manifest that differs from every other. */
export function uniqueImage(members: Readonly<Record<string, unknown>> = {}): Document {
  return image({ members: { annotations: { 'org.example.unique': noise(8).toString('hex') }, ...members } });
}
