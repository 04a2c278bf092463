import { errorMessage } from '../../shared/errors.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { ByteCache } from './byte-cache.ts';
import { algorithmOf, type Digest } from './digest.ts';
import { ManifestStore } from './manifest-store.ts';
import type { RepositoryName } from './names.ts';
import { mapInOrder } from './ordered-map.ts';
import { pageLimit } from './page.ts';
import { describeReferrer, type ReferrerDescription } from './referrer-description.ts';
import { FallbackReferrers } from './referrer-fallback.ts';
import type { ReferrerIndex } from './referrer-index.ts';
import { type Candidate, lookTogether } from './revision-listing.ts';
import type { ServiceCall, ServiceDependencies } from './service-dependencies.ts';

/** What a client wants to know of the referrers of a subject (OCI dist-spec "Listing Referrers"). */
export interface ReferrersRequest {
  /** Only these types; empty for all. */
  readonly artifactTypes: readonly string[];
  /** At most this many, at most 1000; 0 is an empty page. */
  readonly n?: number;
  /** Only referrers after this one in byte order; it need not exist. */
  readonly last?: Digest;
}

export interface ReferrersPage {
  /** Descriptors as JSON, in byte order of their digests. */
  readonly manifests: readonly string[];
  /** More may follow after this digest. */
  readonly last: Digest | undefined;
}

/** Descriptors of one page: clients take no more than this for a manifest, and a list is one. */
const MAX_PAGE_BYTES = 4 << 20;
/** Referrers that one request looks at, when most of them are of another type than wanted. */
const MAX_LOOKS = 20_000;
const CONCURRENCY = 16;
const CACHE = { maxBytes: 16 << 20, maxEntryBytes: 256 << 10 };

/** A referrer that the repository has. */
interface Found {
  readonly digest: Digest;
  readonly description: ReferrerDescription | undefined;
}

/**
 * Lists what refers to a manifest. The index and the fallback tag say where to look; what is listed is what the
 * repository has at this moment and what the manifest itself says.
 */
export class ReferrerService {
  readonly #storage: StorageDriver;
  readonly #index: ReferrerIndex;
  readonly #fallback: FallbackReferrers;
  readonly #store: ManifestStore;
  readonly #logger: ServiceDependencies['logger'];
  readonly #descriptions = new ByteCache<ReferrerDescription>(CACHE);

  constructor(
    dependencies: Pick<ServiceDependencies, 'storage' | 'logger'> & { readonly index: ReferrerIndex },
  ) {
    this.#storage = dependencies.storage;
    this.#index = dependencies.index;
    this.#fallback = new FallbackReferrers(dependencies);
    this.#store = new ManifestStore(dependencies);
    this.#logger = dependencies.logger;
  }

  /**
   * A page has at most 1000 descriptors and, unless it has only one, 4 MiB. It may be shorter than asked for, even
   * empty, and go on.
   */
  async list(
    name: RepositoryName,
    subject: Digest,
    request: ReferrersRequest,
    call: ServiceCall,
  ): Promise<ReferrersPage> {
    const limit = pageLimit(request);
    const page = new PageBuilder(limit, request.artifactTypes);
    if (limit === 0) return page.end();
    // All are asked for at the same time: the index is complete nearly always.
    const early = begun(this.#index.entries(name, subject, request.last, call));
    const [isComplete, listed] = await Promise.all([
      this.#index.isComplete(name, call),
      this.#fallback.list(name, subject, call),
    ]);
    if (!isComplete) await this.#index.rebuild(name, call);
    const entries = isComplete ? early : this.#index.entries(name, subject, request.last, call);
    const digests = merge(entries, after(listed, request.last));
    // One more tells whether the page is the last.
    const candidates = lookTogether(this.#storage, { name, digests, batch: limit + 1 }, call);
    const work = (candidate: Candidate): Promise<Found> => this.#look(name, subject, candidate, call);
    for await (const found of mapInOrder(candidates, CONCURRENCY, work)) {
      if (!page.take(found)) return page.end();
    }
    return page.end();
  }

  async #look(
    name: RepositoryName,
    subject: Digest,
    { digest, isLinked }: Candidate,
    call: ServiceCall,
  ): Promise<Found> {
    if (isLinked === false) return { digest, description: undefined };
    // A sha256 link can only name its own digest.
    const isKnown = isLinked === true && algorithmOf(digest) === 'sha256';
    const target = isKnown ? digest : await this.#store.resolve(name, digest, call);
    const description =
      target && (this.#descriptions.get(digest) ?? (await this.#read(name, digest, target, call)));
    return { digest, description: description?.subject === subject ? description : undefined };
  }

  async #read(
    name: RepositoryName,
    digest: Digest,
    target: Digest,
    call: ServiceCall,
  ): Promise<ReferrerDescription | undefined> {
    const bytes = await this.#store.read(name, target, call);
    if (bytes === undefined) return undefined;
    try {
      const description = describeReferrer(digest, bytes);
      // Text takes two bytes for each character when one of them needs it.
      this.#descriptions.add(digest, description, 2 * description.bytes + 512);
      return description;
    } catch (error) {
      const fields = { repository: name, digest, error: errorMessage(error) };
      this.#logger?.warn(fields, 'a stored manifest cannot be served');
      return undefined;
    }
  }
}

/** Takes referrers in their order, until the page is full. */
class PageBuilder {
  readonly #limit: number;
  readonly #artifactTypes: ReadonlySet<string>;
  readonly #manifests: string[] = [];
  #bytes = 0;
  #looks = 0;
  #seen: Digest | undefined;
  #more = false;

  constructor(limit: number, artifactTypes: readonly string[]) {
    this.#limit = limit;
    this.#artifactTypes = new Set(artifactTypes);
  }

  /** @returns false when the page ends before this one */
  take({ digest, description }: Found): boolean {
    const wanted = description !== undefined && this.#wants(description);
    if (this.#looks === MAX_LOOKS || (wanted && !this.#hasRoom(description))) {
      this.#more = true;
      return false;
    }
    this.#looks++;
    this.#seen = digest;
    if (!wanted) return true;
    this.#manifests.push(description.json);
    this.#bytes += description.bytes + 1;
    return true;
  }

  end(): ReferrersPage {
    return { manifests: this.#manifests, last: this.#more ? this.#seen : undefined };
  }

  #wants({ artifactType }: ReferrerDescription): boolean {
    return this.#artifactTypes.size === 0 || this.#artifactTypes.has(artifactType ?? '');
  }

  #hasRoom({ bytes }: ReferrerDescription): boolean {
    if (this.#manifests.length === 0) return true;
    return this.#manifests.length < this.#limit && this.#bytes + bytes <= MAX_PAGE_BYTES;
  }
}

function after(sorted: readonly Digest[], last: Digest | undefined): readonly Digest[] {
  return last === undefined ? sorted : sorted.filter((digest) => digest > last);
}

/** The same sequence, whose first item is being fetched already. A failure is told to who takes the item. */
function begun<T>(source: AsyncGenerator<T>): AsyncGenerator<T> {
  const first = source.next();
  first.catch(() => undefined);
  return rest();

  async function* rest(): AsyncGenerator<T> {
    for (let next = await first; next.done !== true; next = await source.next()) yield next.value;
  }
}

/** Two ordered sequences as one, what is in both once. */
async function* merge(left: AsyncIterable<Digest>, right: readonly Digest[]): AsyncGenerator<Digest> {
  let next = 0;
  for await (const digest of left) {
    for (let other = right[next]; other !== undefined && other < digest; other = right[++next]) yield other;
    if (right[next] === digest) next++;
    yield digest;
  }
  yield* right.slice(next);
}
