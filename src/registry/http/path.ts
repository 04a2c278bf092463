import { parseDigest, type Digest } from '../distribution/digest.ts';
import { DistributionError } from '../distribution/errors.ts';
import {
  parseReference,
  parseRepositoryName,
  parseUploadId,
  type Reference,
  type RepositoryName,
  type UploadId,
} from '../distribution/reference.ts';

/** What the path of a request below `/v2/` can name, by its kind, and what more it says. */
interface Targets {
  readonly base: object;
  readonly catalog: object;
  readonly discover: { readonly repository?: RepositoryName };
  readonly repository: { readonly repository: RepositoryName };
  readonly referrers: { readonly repository: RepositoryName; readonly subject: Digest };
  readonly blob: { readonly repository: RepositoryName; readonly digest: Digest };
  readonly uploads: { readonly repository: RepositoryName };
  readonly upload: { readonly repository: RepositoryName; readonly id: UploadId };
  readonly manifest: { readonly repository: RepositoryName; readonly reference: Reference };
  readonly tags: { readonly repository: RepositoryName };
}

export type TargetKind = keyof Targets;
export type TargetOf<K extends TargetKind> = { [P in K]: { readonly kind: P } & Targets[P] }[K];

/** What the path of a request names. */
export type Target = TargetOf<TargetKind>;

/** Path of the list of extensions, below `/v2/` or `/v2/<name>/`. */
export const DISCOVER_EXTENSION = '_oci/ext/discover';

/** Path of the extension that deletes a whole repository, below `/v2/<name>/`. */
export const REPOSITORY_EXTENSION = '_registry-operator/repository';

/** No name begins with `_`, so these cannot be repositories. */
const REGISTRY_WIDE: ReadonlyMap<string, Target> = new Map([
  ['_catalog', { kind: 'catalog' }],
  [DISCOVER_EXTENSION, { kind: 'discover' }],
]);

/** Escapes that would put a separator or a NUL into a segment; also refused when doubly escaped. */
const FORBIDDEN_ESCAPE = /%(?:25)*(?:2f|5c|00)/i;
// oxlint-disable-next-line no-control-regex -- control characters are what this refuses
const FORBIDDEN_CHARACTER = /[\u0000-\u001f\u007f\\]/;

/**
 * Reads the path of a request, as it stands in the request line, below `/v2/`.
 *
 * Names contain slashes and may contain segments called `blobs` or `manifests`, so the path is read from its
 * end: the last two or three segments say what it is, everything before them is the name of the repository.
 * Percent escapes are decoded once.
 *
 * @param url the request target with or without its query
 * @returns undefined when no endpoint has this form
 * @throws DistributionError NAME_INVALID, DIGEST_INVALID, TAG_INVALID, BLOB_UPLOAD_UNKNOWN
 */
export function parseTarget(url: string): Target | undefined {
  const path = decodePath(url);
  if (path === '/v2/' || path === '/v2') return { kind: 'base' };
  if (!path.startsWith('/v2/')) return undefined;
  const segments = path.slice('/v2/'.length).split('/');
  const registryWide = REGISTRY_WIDE.get(segments.join('/'));
  if (registryWide || segments.length === 1) return registryWide;
  if (segments.length > 2 && segments.at(-1) === '' && segments.at(-2) === 'uploads') segments.pop();
  if (segments.some((segment) => segment === '' || segment === '.' || segment === '..')) {
    throw new DistributionError('NAME_INVALID');
  }
  return repositoryTarget(segments);
}

/** Of a URL of any scheme; user and password may be in it. */
const ANY_ORIGIN = /^[^/?]*:\/\/[^/?]*/;

/** The path of a request target as it was sent; what may be secret, an origin and a query, is not in it. */
export function shownPath(target: string): string {
  const url = target.startsWith('/') ? target : target.replace(ANY_ORIGIN, '');
  const query = url.indexOf('?');
  return query === -1 ? url : url.slice(0, query);
}

/** A client may also send a whole URL, of which the path counts (RFC 9112 §3.2.2). */
const ORIGIN = /^https?:\/\/[^/?]*/i;

function decodePath(target: string): string {
  const url = target.startsWith('/') ? target : target.replace(ORIGIN, '');
  const query = url.indexOf('?');
  const raw = query === -1 ? url : url.slice(0, query);
  const path = raw.includes('%') ? decodeEscapes(raw) : raw;
  if (FORBIDDEN_CHARACTER.test(path)) throw new DistributionError('NAME_INVALID');
  return path;
}

function decodeEscapes(raw: string): string {
  if (FORBIDDEN_ESCAPE.test(raw)) throw new DistributionError('NAME_INVALID');
  try {
    return decodeURIComponent(raw);
  } catch (error) {
    throw new DistributionError('NAME_INVALID', { cause: error });
  }
}

/** The segment before the last one is different for every endpoint, so that at most one form fits. */
function repositoryTarget(segments: readonly string[]): Target | undefined {
  const last = segments.at(-1) ?? '';
  const name = (suffix: number): RepositoryName => parseRepositoryName(segments.slice(0, -suffix).join('/'));
  switch (segments.at(-2)) {
    case 'manifests':
      return { kind: 'manifest', repository: name(2), reference: parseReference(last) };
    case 'blobs':
      if (last === 'uploads') return { kind: 'uploads', repository: name(2) };
      return { kind: 'blob', repository: name(2), digest: parseDigest(last) };
    case 'uploads':
      if (segments.at(-3) !== 'blobs') return undefined;
      return { kind: 'upload', repository: name(3), id: parseUploadId(last) };
    case 'tags':
      return last === 'list' ? { kind: 'tags', repository: name(2) } : undefined;
    case 'referrers':
      return { kind: 'referrers', repository: name(2), subject: parseDigest(last) };
    case undefined:
    default:
      return extensionTarget(segments);
  }
}

/** Extensions begin with `_`, which no component of a name does. */
function extensionTarget(segments: readonly string[]): Target | undefined {
  const start = segments.findIndex((segment) => segment.startsWith('_'));
  const path = segments.slice(Math.max(start, 1)).join('/');
  if (path !== DISCOVER_EXTENSION && path !== REPOSITORY_EXTENSION) return undefined;
  const repository = parseRepositoryName(segments.slice(0, start).join('/'));
  return { kind: path === DISCOVER_EXTENSION ? 'discover' : 'repository', repository };
}
