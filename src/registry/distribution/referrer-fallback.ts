import { ByteCache } from '../../shared/byte-cache.ts';
import { errorMessage } from '../../shared/errors.ts';
import type { CallOptions } from '../storage/driver.ts';
import { algorithmOf, type Digest, hexOf, isDigest } from './digest.ts';
import { readStored } from './manifest-parser.ts';
import { ManifestStore } from './manifest-store.ts';
import { isIndexMediaType } from './media-types.ts';
import type { RepositoryName, Tag } from './names.ts';
import { parseTag } from './reference.ts';
import type { ServiceDependencies } from './service-dependencies.ts';
import { Tags } from './tags.ts';

const CACHE = { maxBytes: 8 << 20, maxEntryBytes: 2 << 20 };
/** Memory of a digest in a list, roughly. */
const BYTES_PER_DIGEST = 160;

/**
 * The tag under which clients keep the list of referrers where a registry has no API for it (OCI dist-spec
 * "Referrers Tag Schema"): algorithm and digits, cut to 32 and 64 characters, and `-` for what no tag may have.
 */
export function fallbackTag(subject: Digest): Tag {
  const algorithm = algorithmOf(subject).slice(0, 32);
  return parseTag(`${algorithm}-${hexOf(subject).slice(0, 64)}`.replaceAll(/[^a-zA-Z0-9._-]/g, '-'));
}

/**
 * Reads the lists of referrers that clients have kept under such a tag, with this registry before it had the
 * API or with another one. Only the digests count: what clients wrote beside them may be wrong or old.
 */
export class FallbackReferrers {
  readonly #tags: Tags;
  readonly #store: ManifestStore;
  readonly #logger: ServiceDependencies['logger'];
  /** By the digest of the list. */
  readonly #lists = new ByteCache<readonly Digest[]>(CACHE);

  constructor(dependencies: Pick<ServiceDependencies, 'storage' | 'logger'>) {
    const { storage, logger } = dependencies;
    this.#tags = new Tags(storage, logger);
    this.#store = new ManifestStore(dependencies);
    this.#logger = logger;
  }

  /** Digests of what may refer to the subject, in byte order and each once. */
  async list(name: RepositoryName, subject: Digest, call: CallOptions): Promise<readonly Digest[]> {
    const tag = fallbackTag(subject);
    const digest = await this.#tags.resolve(name, tag, call);
    const target = digest && (await this.#store.resolve(name, digest, call));
    if (target === undefined) return [];
    const known = this.#lists.get(target);
    if (known !== undefined) return known;
    const bytes = await this.#store.read(name, target, call);
    if (bytes === undefined) return [];
    const list = this.#parse({ repository: name, tag, digest }, bytes);
    this.#lists.add(target, list, BYTES_PER_DIGEST * (list.length + 1));
    return list;
  }

  #parse(fields: object, bytes: Uint8Array): readonly Digest[] {
    try {
      const { mediaType, document } = readStored(bytes);
      const { manifests } = document;
      if (isIndexMediaType(mediaType) && Array.isArray(manifests)) return digestsOf(manifests);
      this.#logger?.warn(fields, 'ignoring a tag that should list referrers and is no index');
    } catch (error) {
      const reason = { ...fields, error: errorMessage(error) };
      this.#logger?.warn(reason, 'ignoring a tag that should list referrers and cannot be read');
    }
    return [];
  }
}

function digestsOf(entries: readonly unknown[]): readonly Digest[] {
  const digests = new Set<Digest>();
  for (const entry of entries) {
    const digest: unknown = typeof entry === 'object' && entry !== null ? Reflect.get(entry, 'digest') : '';
    if (typeof digest === 'string' && isDigest(digest)) digests.add(digest);
  }
  return [...digests].toSorted();
}
