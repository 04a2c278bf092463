import type { StorageKey } from '../storage/driver.ts';
import { algorithmOf, type Digest, hexOf } from './digest.ts';
import type { RepositoryName, Tag, UploadId } from './names.ts';

/**
 * Every storage key of the registry, in the layout that distribution 2.x and 3.x write, so that a volume or a
 * bucket can be taken over and handed back as it is:
 *
 * ```
 * docker/registry/v2/
 *   blobs/<alg>/<first 2 hex>/<hex>/data               content of layers, configs and manifests
 *   repositories/<name>/
 *     _layers/<alg>/<hex>/link                         the repository has this blob
 *     _manifests/revisions/<alg>/<hex>/link            the repository has this manifest
 *     _manifests/tags/<tag>/current/link               what the tag points to
 *     _manifests/tags/<tag>/index/<alg>/<hex>/link     everything it ever pointed to
 *     _uploads/<uuid>/data                             unfinished bytes, where the driver keeps them as a file
 *     _uploads/<uuid>/startedat                        start of the session, RFC 3339
 *     _uploads/<uuid>/sealed                           complete bytes that are being hashed once more (ours)
 *     _uploads/<uuid>/whole                            unfinished bytes of a PUT that brings all of them (ours)
 *     _uploads/<uuid>/last                             where a PUT that brings the last of them began (ours)
 *     _referrers/<alg>/<subject hex>/<alg>/<hex>       a manifest with this subject (ours)
 *     _referrers/complete                              every manifest of the repository is in that index (ours)
 *   _catalog/<name>                                    the repository exists (ours)
 *   _repositories/<alg>/<hex>/<name>                   the repository has this blob (ours)
 *   _indexes/complete                                  when the last two were compared with the rest (ours)
 * ```
 *
 * What is ours is an index: it makes lists fast, is never proof of anything, and is rebuilt when it is missing.
 * Other servers ignore it. `<name>` in the last three is one segment, see {@link encodeName}.
 *
 * A `link` holds the text of a digest, without a newline, which names the file below `blobs/`. It is the
 * digest of its own path, but for a blob that was pushed by its sha512: distribution stores that below its
 * sha256, and the link in `_layers/sha512/<hex>/` holds the sha256.
 */
const ROOT = 'docker/registry/v2';

/** Prefix of every key. */
export const ROOT_PREFIX = `${ROOT}/`;

/** Longest content of a link file that is read: a digest is 135 bytes at most. */
export const MAX_LINK_BYTES = 256;

/** Where the bytes of a blob or manifest are. */
export function blobDataKey(digest: Digest): StorageKey {
  const hex = hexOf(digest);
  return key(`${ROOT}/blobs/${algorithmOf(digest)}/${hex.slice(0, 2)}/${hex}/data`);
}

export function layerLinkKey(name: RepositoryName, digest: Digest): StorageKey {
  return key(`${layersPrefix(name)}${digestPath(digest)}/link`);
}

export function revisionLinkKey(name: RepositoryName, digest: Digest): StorageKey {
  return key(`${manifestsPrefix(name)}revisions/${digestPath(digest)}/link`);
}

export function tagCurrentKey(name: RepositoryName, tag: Tag): StorageKey {
  return key(`${tagPrefix(name, tag)}current/link`);
}

export function tagIndexKey(name: RepositoryName, tag: Tag, digest: Digest): StorageKey {
  return key(`${tagPrefix(name, tag)}index/${digestPath(digest)}/link`);
}

export function uploadDataKey(name: RepositoryName, id: UploadId): StorageKey {
  return key(`${uploadPrefix(name, id)}data`);
}

export function uploadStartedKey(name: RepositoryName, id: UploadId): StorageKey {
  return key(`${uploadPrefix(name, id)}startedat`);
}

export function uploadSealedKey(name: RepositoryName, id: UploadId): StorageKey {
  return key(`${uploadPrefix(name, id)}sealed`);
}

/** Unfinished bytes of a request that brings the whole content. */
export function uploadWholeKey(name: RepositoryName, id: UploadId): StorageKey {
  return key(`${uploadPrefix(name, id)}whole`);
}

export function uploadLastKey(name: RepositoryName, id: UploadId): StorageKey {
  return key(`${uploadPrefix(name, id)}last`);
}

/** Tells that `referrer` names `subject`; it need not be in the repository any more. Holds its digest. */
export function referrerKey(name: RepositoryName, subject: Digest, referrer: Digest): StorageKey {
  return key(`${referrersPrefix(name, subject)}${digestPath(referrer)}`);
}

export function referrersPrefix(name: RepositoryName, subject: Digest): string {
  return `${repositoryFolderPrefix(name)}_referrers/${digestPath(subject)}/`;
}

export function referrersCompleteKey(name: RepositoryName): StorageKey {
  return key(`${repositoryFolderPrefix(name)}_referrers/complete`);
}

/** Entries below it are encoded names, in the byte order of the names. */
export const CATALOG_PREFIX = `${ROOT}/_catalog/`;

export function catalogKey(name: RepositoryName): StorageKey {
  return key(CATALOG_PREFIX + encodeName(name));
}

/** Of the entries of all blobs. */
export const HOLDERS_PREFIX = `${ROOT}/_repositories/`;

/** Entries below it are encoded names of repositories that may have the blob. */
export function holdersPrefix(digest: Digest): string {
  return `${HOLDERS_PREFIX}${digestPath(digest)}/`;
}

export function holderKey(digest: Digest, name: RepositoryName): StorageKey {
  return key(holdersPrefix(digest) + encodeName(name));
}

export function indexesCompleteKey(): StorageKey {
  return key(`${ROOT}/_indexes/complete`);
}

const ENCODED: Readonly<Record<string, string>> = { '-': '+', '.': '-', '/': '.' };
const DECODED: Readonly<Record<string, string>> = { '+': '-', '-': '.', '.': '/' };

/**
 * A repository name, or the beginning of one, as one segment of a key. The three separators move down by one
 * place in ASCII, so that the order of names stays what it is: `-` `.` `/` become `+` `-` `.`
 */
export function encodeName(text: string): string {
  return text.replaceAll(/[-./]/g, (separator) => ENCODED[separator] ?? separator);
}

/** Reverses {@link encodeName}; what comes out is checked by the caller. */
export function decodeName(segment: string): string {
  return segment.replaceAll(/[-+.]/g, (separator) => DECODED[separator] ?? separator);
}

/** A key that a listing found below a prefix of this file. */
export function listedKey(prefix: string, name: string): StorageKey {
  return key(prefix + name);
}

/** Prefix of all repositories. */
const REPOSITORIES_PREFIX = `${ROOT}/repositories/`;

/** @param path of a repository, or of a folder that only holds repositories (`library`); empty for the root */
export function repositoryFolderPrefix(path: string): string {
  return path === '' ? REPOSITORIES_PREFIX : `${REPOSITORIES_PREFIX}${path}/`;
}

export function layersPrefix(name: RepositoryName): string {
  return `${repositoryFolderPrefix(name)}_layers/`;
}

export function manifestsPrefix(name: RepositoryName): string {
  return `${repositoryFolderPrefix(name)}_manifests/`;
}

export function tagsPrefix(name: RepositoryName): string {
  return `${manifestsPrefix(name)}tags/`;
}

/** Prefix of everything that one tag has. */
export function tagPrefix(name: RepositoryName, tag: Tag): string {
  return `${tagsPrefix(name)}${tag}/`;
}

export function uploadsPrefix(name: RepositoryName): string {
  return `${repositoryFolderPrefix(name)}_uploads/`;
}

export function uploadPrefix(name: RepositoryName, id: UploadId): string {
  return `${uploadsPrefix(name)}${id}/`;
}

function digestPath(digest: Digest): string {
  return `${algorithmOf(digest)}/${hexOf(digest)}`;
}

/** Names, tags, ids and digests were parsed, so no segment can be `..` or hold a slash of its own. */
function key(text: string): StorageKey {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the only place that makes keys
  return text as StorageKey;
}
