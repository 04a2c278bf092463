import { DistributionError } from './errors.ts';
import { guardJson } from './json-guard.ts';
import {
  type ManifestContent,
  readImage,
  readIndex,
  readObject,
  readTopLevel,
  SchemaViolation,
} from './manifest-schema.ts';
import {
  isIndexMediaType,
  isManifestMediaType,
  type ManifestMediaType,
  OCI_INDEX,
  OCI_MANIFEST,
  SCHEMA_1_MEDIA_TYPES,
} from './media-types.ts';

/** What the registry knows of a manifest. The bytes stay as they are, and are what is stored and served. */
export interface ParsedManifest {
  readonly mediaType: ManifestMediaType;
  readonly content: ManifestContent;
}

/** Content types of clients that leave it to the document what it is. */
const UNSPECIFIC: ReadonlySet<string> = new Set(['', 'application/json', 'application/octet-stream']);

/**
 * Parses a manifest that a client pushes.
 *
 * Content-Type and the document must say the same, and the document must be one thing only (CVE-2021-41190).
 *
 * @param contentType as received, parameters included; unset or unspecific takes the word of the document
 * @throws DistributionError MANIFEST_INVALID, with status 415 for a type that is not supported
 */
export function parseManifest(bytes: Uint8Array, contentType: string | undefined): ParsedManifest {
  const declared = declaredType(contentType);
  const document = readDocument(bytes);
  const mediaType = declared ?? inferType(document);
  checkType(document, mediaType);
  const read = isIndexMediaType(mediaType) ? readIndex : readImage;
  return { mediaType, content: inClientTerms<ManifestContent>(() => read(document)) };
}

/**
 * Type of a stored manifest. The layout has no place for the Content-Type of the push, so it comes from the
 * document: its `mediaType`, or its shape for the OCI types, where that member is optional.
 *
 * @throws DistributionError MANIFEST_INVALID for something that is no manifest
 */
export function storedMediaType(bytes: Uint8Array): ManifestMediaType {
  return readStored(bytes).mediaType;
}

type Document = ReturnType<typeof readTopLevel>;

/** Members of a stored manifest, of which nothing was checked. */
export type StoredDocument = Document;

/**
 * A stored manifest, which may be of another server.
 *
 * @throws DistributionError MANIFEST_INVALID for something that is no manifest
 */
export function readStored(bytes: Uint8Array): {
  readonly mediaType: ManifestMediaType;
  readonly document: StoredDocument;
} {
  const document = inClientTerms(() => readObject(parseJson(decode(bytes)), 'manifest'));
  return { mediaType: inferType(document), document };
}

function declaredType(contentType: string | undefined): ManifestMediaType | undefined {
  const type = (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (isManifestMediaType(type)) return type;
  if (UNSPECIFIC.has(type)) return undefined;
  if (SCHEMA_1_MEDIA_TYPES.includes(type)) throw schema1();
  throw unsupported(`manifest type ${JSON.stringify(type.slice(0, 128))} is not supported`);
}

function inferType(document: Document): ManifestMediaType {
  const { mediaType } = document;
  if (document['schemaVersion'] === 1) throw schema1();
  if (mediaType === undefined || mediaType === null) {
    return document['manifests'] === undefined ? OCI_MANIFEST : OCI_INDEX;
  }
  if (typeof mediaType !== 'string') throw invalid('mediaType: must be a string');
  if (isManifestMediaType(mediaType)) return mediaType;
  if (SCHEMA_1_MEDIA_TYPES.includes(mediaType)) throw schema1();
  throw unsupported(`manifest type ${JSON.stringify(mediaType.slice(0, 128))} is not supported`);
}

function checkType(document: Document, type: ManifestMediaType): void {
  const { mediaType, schemaVersion } = document;
  if (schemaVersion === 1) throw schema1();
  if (schemaVersion !== 2) throw invalid('schemaVersion: must be 2');
  const optional = type === OCI_MANIFEST || type === OCI_INDEX;
  const absent = mediaType === undefined || mediaType === null;
  if (absent && !optional) throw invalid(`mediaType: must be ${type}`);
  if (!absent && mediaType !== type) throw invalid('mediaType: differs from the Content-Type of the request');
  const forbidden = isIndexMediaType(type) ? ['config', 'layers'] : ['manifests'];
  const ambiguous = forbidden.find((member) => Object.hasOwn(document, member));
  if (ambiguous !== undefined) throw invalid(`${ambiguous}: does not belong into a document of type ${type}`);
}

function readDocument(bytes: Uint8Array): Document {
  const text = decode(bytes);
  const complaint = guardJson(text);
  if (complaint !== undefined) throw invalid(complaint);
  return inClientTerms(() => readTopLevel(parseJson(text)));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid('not JSON', error);
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw invalid('not UTF-8', error);
  }
}

function inClientTerms<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof SchemaViolation) throw invalid(error.message);
    throw error;
  }
}

function invalid(reason: string, cause?: unknown): DistributionError {
  return new DistributionError('MANIFEST_INVALID', { message: `manifest invalid: ${reason}`, cause });
}

function unsupported(message: string): DistributionError {
  return new DistributionError('MANIFEST_INVALID', { status: 415, message });
}

function schema1(): DistributionError {
  return unsupported(
    'Docker image manifest schema 1 is not supported: push the image with a client of 2017 or later',
  );
}
