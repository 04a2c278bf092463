import { errorMessage } from '../../shared/errors.ts';
import type { CallOptions, ObjectStat, StorageDriver, StorageKey } from '../storage/driver.ts';
import { mapConcurrently } from './concurrency.ts';
import { type Digest, isDigest } from './digest.ts';
import {
  manifestsPrefix,
  referrerKey,
  referrersCompleteKey,
  referrersPrefix,
  revisionLinkKey,
} from './layout.ts';
import { Links } from './links.ts';
import { ManifestStore } from './manifest-store.ts';
import type { RepositoryName } from './names.ts';
import { describeReferrer } from './referrer-description.ts';
import type { ServiceCall, ServiceDependencies } from './service-dependencies.ts';
import { SharedWork } from './shared-work.ts';

/** Manifests that one scan reads at the same time. */
const CONCURRENCY = 8;
/** The mark is written at the end of a scan; what was linked since its beginning may have been missed. */
const LONGEST_SCAN_MS = 60 * 60_000;

/** The longest page of the storage's listing. */
const MAX_LISTED = 1000;

/** What is known of one manifest that is about another. */
export interface Referral {
  readonly subject: Digest;
  /** The manifest that names the subject. */
  readonly referrer: Digest;
}

/**
 * The index of what refers to what, one object per referrer and subject. An entry says where to look and proves
 * nothing: whether the repository still has the referrer is asked of its link. So an entry may be written early
 * and removed late, and one that is left over does no harm.
 */
export class ReferrerIndex {
  readonly #storage: StorageDriver;
  readonly #logger: ServiceDependencies['logger'];
  readonly #links: Links;
  readonly #store: ManifestStore;
  readonly #scans = new SharedWork();

  constructor(dependencies: Pick<ServiceDependencies, 'storage' | 'logger'>) {
    const { storage, logger } = dependencies;
    this.#storage = storage;
    this.#logger = logger;
    this.#links = new Links(storage, logger);
    this.#store = new ManifestStore(dependencies);
  }

  /** Call it after the manifest has its link. */
  async add(name: RepositoryName, { subject, referrer }: Referral, call: CallOptions): Promise<void> {
    await this.#links.write(referrerKey(name, subject, referrer), referrer, call);
  }

  /**
   * Call it after the link of the manifest is gone. Looks for the link once more: a push that ran meanwhile wrote
   * it before its entry, and wants the entry back.
   */
  async remove(name: RepositoryName, referral: Referral, call: CallOptions): Promise<void> {
    const { subject, referrer } = referral;
    await this.#storage.delete([referrerKey(name, subject, referrer)], call);
    const link = await this.#storage.stat(revisionLinkKey(name, referrer), call);
    if (link !== undefined) await this.add(name, referral, call);
  }

  /** Whether every manifest of the repository that has a subject has its entry. */
  async isComplete(name: RepositoryName, call: CallOptions): Promise<boolean> {
    return (await this.#storage.stat(referrersCompleteKey(name), call)) !== undefined;
  }

  /**
   * Reads every manifest of the repository, writes the entries that are missing, then the mark that the index is
   * complete. For content of other servers. May be repeated at any time, and then reads only manifests that were
   * linked since; what this process is doing already is waited for. A repository without manifests gets no mark, so
   * that asking for one leaves nothing behind.
   *
   * @throws StorageError when something could not be read or written; there is no mark then
   */
  async rebuild(name: RepositoryName, call: ServiceCall): Promise<void> {
    await this.#scans.run(name, call.signal, (signal) => this.#scan(name, { signal }));
  }

  /** Digests of what may refer to the subject, in byte order, those after `last`; as many at a time as are listed. */
  async *entries(
    name: RepositoryName,
    subject: Digest,
    last: Digest | undefined,
    call: CallOptions,
  ): AsyncGenerator<readonly Digest[]> {
    const prefix = referrersPrefix(name, subject);
    // A full page needs one more, to tell that it is not the last; where a listing is a request, it may as well be long.
    const rest = this.#storage.capabilities.flatListing ? MAX_LISTED : 16;
    for await (const entries of this.#pages(prefix, { last: last?.replace(':', '/'), rest }, call)) {
      yield entries.map((entry) => entry.replace('/', ':')).filter(isDigest);
    }
  }

  async #scan(name: RepositoryName, call: CallOptions): Promise<void> {
    let empty = true;
    const mark = await this.#storage.stat(referrersCompleteKey(name), call);
    await mapConcurrently(this.#revisions(name, call), CONCURRENCY, async (referrer) => {
      if (mark && (await this.#wasSeen(mark, revisionLinkKey(name, referrer), call))) return;
      const target = await this.#store.resolve(name, referrer, call);
      if (target === undefined) return;
      empty = false;
      const subject = await this.#subjectOf(name, { referrer, target }, call);
      if (subject === undefined) return;
      const known = await this.#storage.stat(referrerKey(name, subject, referrer), call);
      if (known === undefined) await this.add(name, { subject, referrer }, call);
    });
    if (!empty) await this.#storage.put(referrersCompleteKey(name), Buffer.from('1'), call);
  }

  /** Whether the scan that left the mark has seen this link, or whoever made the link knows of the index. */
  async #wasSeen(mark: ObjectStat, link: StorageKey, call: CallOptions): Promise<boolean> {
    const found = await this.#storage.stat(link, call);
    if (found === undefined) return false;
    const { modifiedAt, placedAt = modifiedAt } = found;
    return Math.max(modifiedAt.getTime(), placedAt.getTime()) < mark.modifiedAt.getTime() - LONGEST_SCAN_MS;
  }

  async #subjectOf(
    name: RepositoryName,
    { referrer, target }: { readonly referrer: Digest; readonly target: Digest },
    call: CallOptions,
  ): Promise<Digest | undefined> {
    const bytes = await this.#store.read(name, target, call);
    if (bytes === undefined) return undefined;
    try {
      return describeReferrer(referrer, bytes).subject;
    } catch (error) {
      const fields = { repository: name, digest: referrer, error: errorMessage(error) };
      this.#logger?.debug(fields, 'a stored manifest cannot be read');
      return undefined;
    }
  }

  async *#revisions(name: RepositoryName, call: CallOptions): AsyncGenerator<Digest> {
    for await (const keys of this.#pages(`${manifestsPrefix(name)}revisions/`, {}, call)) {
      yield* keys.map(digestOfRevision).filter((digest) => digest !== undefined);
    }
  }

  /** @param rest how many are listed at a time after the first page; more each time */
  async *#pages(
    prefix: string,
    { last, rest = MAX_LISTED }: { readonly last?: string | undefined; readonly rest?: number },
    call: CallOptions,
  ): AsyncGenerator<string[]> {
    let after = last;
    let limit = MAX_LISTED;
    for (let next = rest; ; next = Math.min(4 * next, MAX_LISTED)) {
      const start = after === undefined ? {} : { after };
      const page = await this.#storage.list(prefix, { signal: call.signal, ...start, limit });
      yield page.entries.map(({ name }) => name);
      after = page.entries.at(-1)?.name;
      limit = next;
      if (!page.more || after === undefined) return;
    }
  }
}

/** `<algorithm>/<hex>/link` */
function digestOfRevision(key: string): Digest | undefined {
  const [algorithm, hex, file, ...rest] = key.split('/');
  const digest = `${algorithm}:${hex}`;
  return file === 'link' && rest.length === 0 && isDigest(digest) ? digest : undefined;
}
