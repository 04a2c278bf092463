import { ByteCache } from '../../shared/byte-cache.ts';
import type { CallOptions, StorageDriver } from '../storage/driver.ts';
import { algorithmOf, type Digest } from './digest.ts';
import { manifestsPrefix } from './layout.ts';
import type { RepositoryName } from './names.ts';

/** A listing costs about as much as so many looks at single links. */
const WORTH_A_LISTING = 32;
/** What was found is kept for so many digests in all; memory of each, roughly. */
const CACHE = { maxBytes: 8 << 20, maxEntryBytes: 4 << 20 };
const BYTES_PER_DIGEST = 160;
/** After so long, every link is looked at again, whatever its folder says. */
const MAX_AGE_MS = 30_000;

/** A manifest that a repository may have. */
export interface Candidate {
  readonly digest: Digest;
  /** Whether its link is there; undefined when nobody has looked. */
  readonly isLinked: boolean | undefined;
}

/** What a look at many links has found. */
export interface Looked {
  /** In the order of the question. */
  readonly candidates: readonly Candidate[];
  /** To be told which of the others have a sound link, by looks that began after this one. */
  readonly confirm: (linked: readonly Digest[]) => void;
}

/** Links that were there since the folder of the revisions has this version. */
interface Proof {
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly linked: ReadonlySet<Digest>;
}

/**
 * Looks for the links of many manifests at a time.
 *
 * On a storage that lists everything below a prefix at once, that is a listing of the revisions next to them; single
 * ones and those that lie far apart are left to the caller. A listing does not tell a damaged link from a sound one.
 *
 * On one of folders the caller looks at each of them once. As long as the folder of the revisions stays as it is,
 * these need no other look: each has a folder of its own there, which goes before a deletion has ended, whoever
 * deletes. A deletion that was cut off between the two, or that had to leave a folder because of foreign files in it,
 * is noticed half a minute later.
 */
export class RevisionListing {
  readonly #storage: StorageDriver;
  readonly #now: () => number;
  readonly #proofs = new ByteCache<Proof>(CACHE);

  /** @param now milliseconds since the epoch */
  constructor(storage: StorageDriver, now: () => number) {
    this.#storage = storage;
    this.#now = now;
  }

  /** @param digests in byte order */
  async look(name: RepositoryName, digests: readonly Digest[], call: CallOptions): Promise<Looked> {
    if (digests.length < WORTH_A_LISTING)
      return { candidates: digests.map(unknown), confirm: () => undefined };
    if (!this.#storage.capabilities.flatListing) return this.#lookAtFolder(name, digests, call);
    return { candidates: await lookAt(this.#storage, name, digests, call), confirm: () => undefined };
  }

  async #lookAtFolder(name: RepositoryName, digests: readonly Digest[], call: CallOptions): Promise<Looked> {
    const prefix = `${manifestsPrefix(name)}revisions/sha256/`;
    const now = this.#now();
    const { version } = await this.#storage.list(prefix, {
      signal: call.signal,
      limit: 1,
      delimiter: '/',
      onlyVersion: true,
    });
    if (version === undefined) return { candidates: digests.map(unknown), confirm: () => undefined };
    const kept = this.#proofs.get(name);
    const age = now - (kept?.since ?? -Infinity);
    const proof = kept?.version === version && age >= 0 && age < MAX_AGE_MS ? kept : undefined;
    return {
      candidates: digests.map((digest) => ({
        digest,
        isLinked: proof?.linked.has(digest) === true ? true : undefined,
      })),
      confirm: (linked) =>
        this.#add(name, { version, since: proof?.since ?? now, linked: proof?.linked }, linked),
    };
  }

  #add(
    name: RepositoryName,
    { version, since, linked }: Omit<Proof, 'linked'> & { readonly linked: Proof['linked'] | undefined },
    more: readonly Digest[],
  ): void {
    const all = new Set(linked);
    for (const digest of more) if (algorithmOf(digest) === 'sha256') all.add(digest);
    this.#proofs.add(name, { version, since, linked: all }, BYTES_PER_DIGEST * (all.size + 1));
  }
}

async function lookAt(
  storage: StorageDriver,
  name: RepositoryName,
  digests: readonly Digest[],
  call: CallOptions,
): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  const prefix = `${manifestsPrefix(name)}revisions/`;
  while (digests.length - candidates.length >= WORTH_A_LISTING) {
    const first = candidates.length;
    const page = await storage.list(prefix, { signal: call.signal, after: pathOf(digests[first]) });
    const found = new Set(page.entries.map((entry) => entry.name));
    const end = page.more ? page.entries.at(-1)?.name : undefined;
    for (let digest = digests[first]; digest !== undefined; digest = digests[candidates.length]) {
      const link = `${pathOf(digest)}link`;
      if (end !== undefined && link > end) break;
      candidates.push({ digest, isLinked: found.has(link) });
    }
    // Others lie between them, so many that the rest is found sooner one by one.
    if (candidates.length - first < WORTH_A_LISTING) break;
  }
  return [...candidates, ...digests.slice(candidates.length).map(unknown)];
}

function unknown(digest: Digest): Candidate {
  return { digest, isLinked: undefined };
}

/** Folder of the link below the revisions; sorts before everything in it. */
function pathOf(digest: Digest | undefined): string {
  return `${digest?.replace(':', '/') ?? ''}/`;
}
