import type { CallOptions, StorageDriver } from '../storage/driver.ts';
import type { Digest } from './digest.ts';
import { manifestsPrefix } from './layout.ts';
import type { RepositoryName } from './names.ts';

/** A listing costs about as much as so many looks at single links. */
const WORTH_A_LISTING = 32;

/** A manifest that a repository may have. */
export interface Candidate {
  readonly digest: Digest;
  /** Whether its link is there; undefined when nobody has looked. */
  readonly isLinked: boolean | undefined;
}

/**
 * Looks for the links of many manifests at a time, by listing the revisions of the repository next to them. Single
 * ones, those that lie far apart, and all on a storage that reads every folder of a listing are left to the caller.
 * A listing does not tell a damaged link from a sound one.
 *
 * @param digests in byte order
 * @param batch how many are taken before the first of them is yielded; at most 1000
 */
export async function* lookTogether(
  storage: StorageDriver,
  { name, digests, batch }: { name: RepositoryName; digests: AsyncIterable<Digest>; batch: number },
  call: CallOptions,
): AsyncGenerator<Candidate> {
  const { flatListing } = storage.capabilities;
  const size = Math.min(batch, 1000);
  let waiting: Digest[] = [];
  for await (const digest of digests) {
    if (!flatListing) {
      yield { digest, isLinked: undefined };
      continue;
    }
    waiting.push(digest);
    if (waiting.length < size) continue;
    yield* lookAt(storage, name, waiting, call);
    waiting = [];
  }
  yield* lookAt(storage, name, waiting, call);
}

async function* lookAt(
  storage: StorageDriver,
  name: RepositoryName,
  digests: readonly Digest[],
  call: CallOptions,
): AsyncGenerator<Candidate> {
  const prefix = `${manifestsPrefix(name)}revisions/`;
  let next = 0;
  while (digests.length - next >= WORTH_A_LISTING) {
    const after = pathOf(digests[next]);
    const page = await storage.list(prefix, { ...call, after });
    const found = new Set(page.entries.map((entry) => entry.name));
    const end = page.more ? page.entries.at(-1)?.name : undefined;
    const first = next;
    for (let digest = digests[next]; digest !== undefined; digest = digests[++next]) {
      const link = `${pathOf(digest)}link`;
      if (end !== undefined && link > end) break;
      yield { digest, isLinked: found.has(link) };
    }
    // Others lie between them, so many that the rest is found sooner one by one.
    if (next - first < WORTH_A_LISTING) break;
  }
  for (const digest of digests.slice(next)) yield { digest, isLinked: undefined };
}

/** Folder of the link below the revisions; sorts before everything in it. */
function pathOf(digest: Digest | undefined): string {
  return `${digest?.replace(':', '/') ?? ''}/`;
}
