import { ByteCache } from '../../shared/byte-cache.ts';
import { errorMessage } from '../../shared/errors.ts';
import { algorithmOf, type Digest } from './digest.ts';
import { ManifestStore } from './manifest-store.ts';
import type { RepositoryName } from './names.ts';
import { mapInOrder } from './ordered-map.ts';
import { MAX_PAGE_ENTRIES, pageLimit } from './page.ts';
import { describeReferrer, type ReferrerDescription } from './referrer-description.ts';
import { FallbackReferrers } from './referrer-fallback.ts';
import type { ReferrerIndex } from './referrer-index.ts';
import { type Candidate, RevisionListing } from './revision-listing.ts';
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

/** What a look at a candidate has found. */
interface Found {
  readonly digest: Digest;
  /** Undefined when it is no referrer of the subject, or not in the repository. */
  readonly description: ReferrerDescription | undefined;
}

/** What may refer to the subject. */
interface Batch {
  readonly name: RepositoryName;
  readonly subject: Digest;
  readonly digests: readonly Digest[];
}

/**
 * Lists what refers to a manifest. The index and the fallback tag say where to look; what is listed is what the
 * repository has at this moment and what the manifest itself says.
 */
export class ReferrerService {
  readonly #index: ReferrerIndex;
  readonly #fallback: FallbackReferrers;
  readonly #store: ManifestStore;
  readonly #revisions: RevisionListing;
  readonly #logger: ServiceDependencies['logger'];
  readonly #descriptions = new ByteCache<ReferrerDescription>(CACHE);

  constructor(
    dependencies: Pick<ServiceDependencies, 'storage' | 'logger' | 'clock'> & {
      readonly index: ReferrerIndex;
    },
  ) {
    const { clock, index, storage } = dependencies;
    this.#index = index;
    this.#revisions = new RevisionListing(storage, () => clock.now().getTime());
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
    // One more tells whether the page is the last.
    const batches = merge(entries, after(listed, request.last), Math.min(limit + 1, MAX_PAGE_ENTRIES));
    for await (const digests of batches) {
      if (!(await this.#take(page, { name, subject, digests }, call))) break;
    }
    return page.end();
  }

  /** @returns false when the page ends before the last of the digests */
  async #take(page: PageBuilder, { name, subject, digests }: Batch, call: ServiceCall): Promise<boolean> {
    const { candidates, confirm } = await this.#revisions.look(name, digests, call);
    // Those that need nothing of the storage are taken at once; nearly always these are all.
    const unknown = candidates.findIndex((candidate) => this.#known(candidate) === undefined);
    const known = unknown === -1 ? candidates : candidates.slice(0, unknown);
    if (!known.every((candidate) => page.take(foundOf(candidate, subject, this.#known(candidate)))))
      return false;
    const linked: Digest[] = [];
    const look = async (candidate: Candidate): Promise<Found> => {
      const target = await this.#resolve(name, candidate, call);
      if (target !== undefined) linked.push(candidate.digest);
      return foundOf(candidate, subject, await this.#describe(name, candidate.digest, target, call));
    };
    try {
      for await (const found of mapInOrder(candidates.slice(known.length), CONCURRENCY, look)) {
        if (!page.take(found)) return false;
      }
      return true;
    } finally {
      if (linked.length > 0) confirm(linked);
    }
  }

  /** @returns undefined when the storage must be asked */
  #known({ digest, isLinked }: Candidate): ReferrerDescription | 'gone' | undefined {
    if (isLinked === false) return 'gone';
    return isLinked === true && isOwnName(digest) ? this.#descriptions.get(digest) : undefined;
  }

  async #resolve(
    name: RepositoryName,
    { digest, isLinked }: Candidate,
    call: ServiceCall,
  ): Promise<Digest | undefined> {
    if (isLinked === false) return undefined;
    return isLinked === true && isOwnName(digest) ? digest : this.#store.resolve(name, digest, call);
  }

  async #describe(
    name: RepositoryName,
    digest: Digest,
    target: Digest | undefined,
    call: ServiceCall,
  ): Promise<ReferrerDescription | undefined> {
    return target && (this.#descriptions.get(digest) ?? (await this.#read(name, digest, target, call)));
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

function foundOf(
  { digest }: Candidate,
  subject: Digest,
  description: ReferrerDescription | 'gone' | undefined,
): Found {
  const isReferrer = description !== 'gone' && description?.subject === subject;
  return { digest, description: isReferrer ? description : undefined };
}

/** Whether its link can only name the digest itself. */
function isOwnName(digest: Digest): boolean {
  return algorithmOf(digest) === 'sha256';
}

/** Two ordered sequences as one, what is in both once, so many at a time. */
async function* merge(
  left: AsyncIterable<readonly Digest[]>,
  right: readonly Digest[],
  size: number,
): AsyncGenerator<readonly Digest[]> {
  let rest = right;
  for await (const page of left) {
    const end = page.at(-1);
    if (end === undefined) continue;
    const cut = rest.findIndex((digest) => digest > end);
    const before = cut === -1 ? rest : rest.slice(0, cut);
    yield* chunks(before.length === 0 ? page : [...new Set([...page, ...before])].toSorted(), size);
    rest = rest.slice(before.length);
  }
  yield* chunks(rest, size);
}

function* chunks<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
