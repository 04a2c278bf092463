import { type Digest, isDigest } from './digest.ts';
import { readStored, type StoredDocument } from './manifest-parser.ts';
import { isIndexMediaType, type ManifestMediaType } from './media-types.ts';

/** What a list of referrers says of a manifest. */
export interface ReferrerDescription {
  /** What the manifest is about; undefined when it is about nothing else. */
  readonly subject: Digest | undefined;
  readonly artifactType: string | undefined;
  /** The descriptor as JSON (OCI dist-spec "Listing Referrers"). */
  readonly json: string;
  /** Length of `json` in UTF-8. */
  readonly bytes: number;
}

/**
 * Describes a stored manifest. Other servers take what this one refuses, so nothing is relied upon: what clients
 * could not read (annotations that are no text) is left out.
 *
 * @throws DistributionError MANIFEST_INVALID for something that is no manifest
 */
export function describeReferrer(digest: Digest, bytes: Uint8Array): ReferrerDescription {
  const { mediaType, document } = readStored(bytes);
  const artifactType = artifactTypeOf(mediaType, document);
  const annotations = annotationsOf(document);
  const json = JSON.stringify({ mediaType, digest, size: bytes.length, artifactType, annotations });
  return { subject: subjectOf(document), artifactType, json, bytes: Buffer.byteLength(json) };
}

/** An image without a type of its own has that of its config; an index has none. */
function artifactTypeOf(mediaType: ManifestMediaType, document: StoredDocument): string | undefined {
  const { artifactType, config } = document;
  if (typeof artifactType === 'string' && artifactType !== '') return artifactType;
  if (isIndexMediaType(mediaType)) return undefined;
  const type = memberOf(config, 'mediaType');
  return typeof type === 'string' && type !== '' ? type : undefined;
}

function annotationsOf({ annotations }: StoredDocument): Record<string, string> | undefined {
  if (typeof annotations !== 'object' || annotations === null || Array.isArray(annotations)) return undefined;
  const entries: [string, unknown][] = Object.entries(annotations);
  const texts = entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return texts.length === 0 ? undefined : Object.fromEntries(texts);
}

function subjectOf({ subject }: StoredDocument): Digest | undefined {
  const digest = memberOf(subject, 'digest');
  return typeof digest === 'string' && isDigest(digest) ? digest : undefined;
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
