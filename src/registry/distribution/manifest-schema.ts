import { hash } from 'node:crypto';

import type { Descriptor } from './descriptor.ts';
import { algorithmOf, type Digest, hexOf, isDigest } from './digest.ts';

/**
 * The parts of manifests that the registry relies on, checked by hand; everything else is left as it is (OCI
 * image-spec "Image Manifest", "Image Index", "Content Descriptors"). Unknown members are legal everywhere.
 */

/** A descriptor within a manifest. */
export interface ManifestDescriptor extends Descriptor {
  /** Where clients fetch the content instead; such content need not be in the registry. */
  readonly urls: readonly string[];
}

/** An image manifest (or an artifact in its clothes). */
export interface ImageContent {
  readonly kind: 'image';
  readonly config: ManifestDescriptor;
  readonly layers: readonly ManifestDescriptor[];
  readonly subject: Digest | undefined;
}

/** An image index or a Docker manifest list. */
export interface IndexContent {
  readonly kind: 'index';
  readonly manifests: readonly ManifestDescriptor[];
  readonly subject: Digest | undefined;
}

export type ManifestContent = ImageContent | IndexContent;

/** A violation of the format; `message` is for the client, and begins with the path of the member. */
export class SchemaViolation extends Error {
  override readonly name = 'SchemaViolation';
}

type JsonObject = Readonly<Record<string, unknown>>;

/** RFC 6838: type and subtype, as the image-spec asks for. */
const MEDIA_TYPE = /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$/;

/**
 * Members whose name readers that ignore case (Go's among them) would take for these. In another spelling
 * they would let one document be two things.
 */
const TOP_LEVEL_MEMBERS = spellings([
  'annotations',
  'artifactType',
  'config',
  'layers',
  'manifests',
  'mediaType',
  'schemaVersion',
  'subject',
]);
const DESCRIPTOR_MEMBERS = spellings(['annotations', 'data', 'digest', 'mediaType', 'size', 'urls']);

/** The outermost value of a pushed manifest. @throws SchemaViolation */
export function readTopLevel(value: unknown): JsonObject {
  const object = readObject(value, 'manifest');
  checkSpelling(object, TOP_LEVEL_MEMBERS, '');
  return object;
}

/** By what they are without case, and by what they are: nearly all members are found at once. */
function spellings(names: readonly string[]): ReadonlyMap<string, string> {
  return new Map(names.flatMap((name) => [name.toLowerCase(), name].map((key) => [key, name] as const)));
}

function checkSpelling(object: JsonObject, names: ReadonlyMap<string, string>, path: string): void {
  for (const member of Object.keys(object)) {
    if (names.get(member) === member) continue;
    // Upper case first: Go also takes the long s and the sign of kelvin for an s and a k.
    const name = names.get(member.toUpperCase().toLowerCase());
    if (name === undefined || name === member) continue;
    throw new SchemaViolation(`${path}${member}: must be spelt ${name}`);
  }
}

/** @throws SchemaViolation */
export function readImage(object: JsonObject): ImageContent {
  checkDescription(object);
  return {
    kind: 'image',
    config: readDescriptor(object['config'], 'config'),
    layers: readDescriptors(object['layers'], 'layers'),
    subject: readSubject(object),
  };
}

/** @throws SchemaViolation */
export function readIndex(object: JsonObject): IndexContent {
  checkDescription(object);
  return {
    kind: 'index',
    manifests: readDescriptors(object['manifests'], 'manifests'),
    subject: readSubject(object),
  };
}

/** What the list of referrers says of a manifest: clients read it with types that take nothing but text. */
function checkDescription({ artifactType, annotations }: JsonObject): void {
  if (artifactType !== undefined && artifactType !== null && typeof artifactType !== 'string') {
    throw new SchemaViolation('artifactType: must be a string');
  }
  checkAnnotations(annotations, 'annotations');
}

function checkAnnotations(value: unknown, path: string): void {
  if (value === undefined || value === null) return;
  for (const [key, text] of Object.entries(readObject(value, path))) {
    if (typeof text === 'string') continue;
    throw new SchemaViolation(`${path}[${JSON.stringify(key.slice(0, 128))}]: must be a string`);
  }
}

function readSubject(object: JsonObject): Digest | undefined {
  const subject = object['subject'];
  return subject === undefined || subject === null ? undefined : readDescriptor(subject, 'subject').digest;
}

function readDescriptors(value: unknown, path: string): ManifestDescriptor[] {
  if (!Array.isArray(value)) throw new SchemaViolation(`${path}: must be a list`);
  return value.map((entry: unknown, index) => readDescriptor(entry, `${path}[${index}]`));
}

function readDescriptor(value: unknown, path: string): ManifestDescriptor {
  const object = readObject(value, path);
  checkSpelling(object, DESCRIPTOR_MEMBERS, `${path}.`);
  const { mediaType, digest, size } = object;
  if (typeof mediaType !== 'string' || !MEDIA_TYPE.test(mediaType)) {
    throw new SchemaViolation(`${path}.mediaType: must be a media type`);
  }
  if (typeof digest !== 'string' || !isDigest(digest)) {
    throw new SchemaViolation(`${path}.digest: must be a sha256 or sha512 digest`);
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw new SchemaViolation(`${path}.size: must be an integer from 0 to 2^53-1`);
  }
  checkAnnotations(object['annotations'], `${path}.annotations`);
  checkData(object['data'], { digest, size }, path);
  return { mediaType, digest, size, urls: readUrls(object['urls'], `${path}.urls`) };
}

/**
 * The content itself, in place. It has to be what digest and size say (OCI image-spec "Content Descriptors"):
 * a client that trusts it would otherwise see other content than one that fetches it.
 */
function checkData(data: unknown, { digest, size }: Omit<Descriptor, 'mediaType'>, path: string): void {
  if (data === undefined || data === null) return;
  const bytes = typeof data === 'string' ? Buffer.from(data, 'base64') : undefined;
  // Node skips what is not Base64, so that only the way back shows whether all of it was.
  if (bytes?.toString('base64') !== data) throw new SchemaViolation(`${path}.data: must be Base64`);
  if (bytes.length !== size) throw new SchemaViolation(`${path}.data: has another length than size says`);
  if (hash(algorithmOf(digest), bytes, 'hex') === hexOf(digest)) return;
  throw new SchemaViolation(`${path}.data: has another digest`);
}

function readUrls(value: unknown, path: string): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new SchemaViolation(`${path}: must be a list`);
  return value.map((entry: unknown, index) => readUrl(entry, `${path}[${index}]`));
}

/** Clients fetch from it, so it may not carry credentials or name anything but a web server. */
function readUrl(value: unknown, path: string): string {
  const url = typeof value === 'string' ? URL.parse(value) : null;
  if (typeof value !== 'string' || url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw new SchemaViolation(`${path}: must be an http or https URL`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new SchemaViolation(`${path}: must not hold credentials`);
  }
  return value;
}

/** @throws SchemaViolation */
export function readObject(value: unknown, path: string): JsonObject {
  if (!isObject(value)) throw new SchemaViolation(`${path}: must be an object`);
  return value;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
