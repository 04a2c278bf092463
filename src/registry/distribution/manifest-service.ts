import { hash } from 'node:crypto';

import { ByteCache } from '../../shared/byte-cache.ts';
import type { ObjectStat, StorageDriver } from '../storage/driver.ts';
import { mapConcurrently, settled } from './concurrency.ts';
import type { Descriptor } from './descriptor.ts';
import { algorithmOf, type Digest, parseDigest } from './digest.ts';
import { DistributionError } from './errors.ts';
import { KeyedLock } from './keyed-lock.ts';
import { blobDataKey, revisionLinkKey } from './layout.ts';
import { Links } from './links.ts';
import { parseManifest, storedMediaType } from './manifest-parser.ts';
import { findMissing, type MissingContent, requiredContent } from './manifest-references.ts';
import { ManifestStore } from './manifest-store.ts';
import type { ManifestMediaType } from './media-types.ts';
import type { RepositoryName, Tag } from './names.ts';
import type { Reference } from './reference.ts';
import { describeReferrer } from './referrer-description.ts';
import { type Referral, ReferrerIndex } from './referrer-index.ts';
import type { ServiceCall, ServiceDependencies } from './service-dependencies.ts';
import { Tags } from './tags.ts';
import { VerifiedManifests } from './verified-manifests.ts';

/** A manifest as a client pushes it. */
export interface PushedManifest {
  /** Content-Type of the request. */
  readonly contentType: string | undefined;
  readonly bytes: Uint8Array;
  /** Besides the one of the reference. */
  readonly tags?: readonly Tag[];
  /** Takes it although the repository lacks content that it refers to. */
  readonly allowSparse?: boolean;
}

/** What has become of a push. */
export interface AcceptedManifest extends Descriptor {
  /** What the manifest is about; listed from now on. */
  readonly subject?: Digest;
  /** What the repository lacks of it, when that was allowed. */
  readonly missing?: MissingContent;
}

/** A manifest that the repository has: the exact bytes of the push. */
interface StoredManifest {
  readonly mediaType: ManifestMediaType;
  readonly bytes: Uint8Array;
}

/** What is told of a manifest without its bytes. */
type ManifestDescription = Omit<Descriptor, 'digest'>;

/** Hashing a longer one would hold up other requests. */
const MAX_VERIFIED_BYTES = 4 << 20;
const CACHE = { maxBytes: 16 << 20, maxEntryBytes: 256 << 10 };
/** Manifests too long for the cache that are read at the same time. */
const LANES = 4;
/** Tags that one push moves at the same time. */
const CONCURRENCY = 8;

/**
 * Manifests of repositories (OCI dist-spec "Pulling manifests", "Pushing Manifests", "Deleting Manifests").
 * Bytes are kept exactly as they were pushed, and digests of both algorithms are equal: content is stored
 * below the digest that the manifest was pushed by.
 */
export class ManifestService {
  readonly #storage: StorageDriver;
  readonly #links: Links;
  readonly #tags: Tags;
  readonly #store: ManifestStore;
  readonly #referrers: ReferrerIndex;
  readonly #logger: ServiceDependencies['logger'];
  readonly #cache = new ByteCache<StoredManifest>(CACHE);
  /** Those that are too long for the cache. */
  readonly #verified = new VerifiedManifests();
  readonly #reading = new KeyedLock();
  /** Keeps a push from writing what a delete of the same manifest removes at that moment. */
  readonly #changing = new KeyedLock();

  constructor(dependencies: Pick<ServiceDependencies, 'storage' | 'logger'>) {
    const { storage, logger } = dependencies;
    this.#storage = storage;
    this.#logger = logger;
    this.#links = new Links(storage, logger);
    this.#tags = new Tags(storage, logger);
    this.#store = new ManifestStore(dependencies);
    this.#referrers = new ReferrerIndex(dependencies);
  }

  /**
   * The bytes must not be changed: they may be shared with other requests.
   *
   * @throws DistributionError MANIFEST_UNKNOWN
   */
  async get(
    name: RepositoryName,
    reference: Reference,
    call: ServiceCall,
  ): Promise<{ descriptor: Descriptor; bytes: Uint8Array }> {
    const load = (digest: Digest): Promise<StoredManifest | undefined> => this.#load(name, digest, call);
    const { digest, found } = await this.#find(name, reference, load, call);
    const { mediaType, bytes } = found;
    return { descriptor: { mediaType, digest, size: bytes.byteLength }, bytes };
  }

  /** @throws DistributionError MANIFEST_UNKNOWN */
  async stat(name: RepositoryName, reference: Reference, call: ServiceCall): Promise<Descriptor> {
    const describe = (digest: Digest): Promise<ManifestDescription | undefined> =>
      this.#describe(name, digest, call);
    const { digest, found } = await this.#find(name, reference, describe, call);
    return { mediaType: found.mediaType, digest, size: found.size };
  }

  /**
   * Stores a manifest whose content is complete, and points the tags to it.
   *
   * @throws DistributionError MANIFEST_INVALID (415 for its type), DIGEST_INVALID when the reference is another
   *   digest, MANIFEST_BLOB_UNKNOWN with one detail per missing content
   */
  async put(
    name: RepositoryName,
    reference: Reference,
    pushed: PushedManifest,
    call: ServiceCall,
  ): Promise<AcceptedManifest> {
    const { bytes } = pushed;
    const digest = digestFor(reference, bytes);
    const { mediaType, content } = parseManifest(bytes, pushed.contentType);
    const key = blobDataKey(digest);
    const [missing, isStored] = await Promise.all([
      this.#findMissing(name, requiredContent(content), call),
      this.#store.holds(key, bytes, call),
    ]);
    if (missing !== undefined && pushed.allowSparse !== true) throw incomplete(missing);

    // Each step makes the next one valid: nobody sees a tag or a revision without its content.
    if (!isStored) await this.#storage.put(key, bytes, call);
    const { subject } = content;
    const tags = [...(reference.kind === 'tag' ? [reference.tag] : []), ...(pushed.tags ?? [])];
    const publish = async (): Promise<void> => this.#publish(name, { digest, subject, tags }, call);
    await this.#changing.run(`${name}@${digest}`, async () => {
      await publish();
      // Another replica may have deleted the manifest meanwhile; its push is acknowledged last, so it stays.
      if ((await this.#storage.stat(revisionLinkKey(name, digest), call)) === undefined) await publish();
    });

    const descriptor = { mediaType, digest, size: bytes.byteLength };
    return { ...descriptor, ...(subject && { subject }), ...(missing && { missing }) };
  }

  /**
   * Removes the manifest from this repository, with every tag that points to it.
   *
   * @throws DistributionError MANIFEST_UNKNOWN
   */
  async delete(name: RepositoryName, digest: Digest, call: ServiceCall): Promise<void> {
    await this.#changing.run(`${name}@${digest}`, async () => {
      const key = revisionLinkKey(name, digest);
      if ((await this.#storage.stat(key, call)) === undefined) throw unknownManifest({ digest });
      const referral = await this.#referralOf(name, digest, call);
      await this.#tags.deletePointingTo(name, digest, call);
      await this.#links.unlinkRevision(name, digest, call);
      if (referral !== undefined) await this.#referrers.remove(name, referral, call);
    });
  }

  /** Makes stored content a manifest of the repository. */
  async #publish(
    name: RepositoryName,
    manifest: {
      readonly digest: Digest;
      readonly subject: Digest | undefined;
      readonly tags: readonly Tag[];
    },
    call: ServiceCall,
  ): Promise<void> {
    const { digest, subject, tags } = manifest;
    const link = async (): Promise<void> => {
      await this.#links.linkRevision(name, digest, call);
      if (subject !== undefined) await this.#referrers.add(name, { subject, referrer: digest }, call);
    };
    const linked = link();
    const point = (tag: Tag): Promise<void> => this.#tags.point(name, tag, digest, { ...call, linked });
    await settled([
      linked.then(() => this.#links.noteRepository(name, call)),
      mapConcurrently(tags, CONCURRENCY, point),
    ]);
  }

  /** What the index of referrers knows of the manifest; undefined as well when it cannot be read. */
  async #referralOf(name: RepositoryName, digest: Digest, call: ServiceCall): Promise<Referral | undefined> {
    const manifest = await this.#load(name, digest, call);
    if (manifest === undefined) return undefined;
    const { subject } = describeReferrer(digest, manifest.bytes);
    return subject && { subject, referrer: digest };
  }

  async #find<Found extends object>(
    name: RepositoryName,
    reference: Reference,
    look: (digest: Digest) => Promise<Found | undefined>,
    call: ServiceCall,
  ): Promise<{ digest: Digest; found: Found }> {
    if (reference.kind === 'digest') {
      const { digest } = reference;
      const found = await look(digest);
      if (found === undefined) throw unknownManifest({ digest });
      return { digest, found };
    }
    const { tag } = reference;
    const digest = await this.#tags.resolve(name, tag, call);
    const found = digest && (await look(digest));
    if (digest === undefined || found === undefined) throw unknownManifest({ tag });
    return { digest, found };
  }

  /** What {@link #load} would tell of the manifest; a long one is not read for it once more. */
  async #describe(
    name: RepositoryName,
    digest: Digest,
    call: ServiceCall,
  ): Promise<ManifestDescription | undefined> {
    if (this.#verified.has(digest)) {
      const [target, stat] = await Promise.all([
        this.#store.resolve(name, digest, call),
        this.#storage.stat(blobDataKey(digest), call),
      ]);
      if (target === undefined) return undefined;
      const mediaType = this.#verified.typeOf(digest, stat);
      if (mediaType !== undefined && stat !== undefined) return { mediaType, size: stat.size };
    }
    const manifest = await this.#load(name, digest, call);
    return manifest && { mediaType: manifest.mediaType, size: manifest.bytes.byteLength };
  }

  /** The manifest, when the repository has it: the storage is asked for the link every time. */
  async #load(name: RepositoryName, digest: Digest, call: ServiceCall): Promise<StoredManifest | undefined> {
    const isKnown = this.#verified.has(digest) || this.#cache.get(digest) !== undefined;
    const mayPeek = algorithmOf(digest) === 'sha256' && !isKnown;
    const [target, peeked] = await Promise.all([
      this.#store.resolve(name, digest, call),
      // Such a link can only name its own digest, so the content may be asked for at the same time.
      mayPeek ? this.#store.peek(digest, call) : undefined,
    ]);
    if (target === undefined) return undefined;
    const cached = this.#cache.get(target);
    if (cached !== undefined) return cached;
    const manifest = peeked ? this.#examined(name, target, peeked) : await this.#read(name, target, call);
    if (manifest !== undefined) this.#cache.add(target, manifest, manifest.bytes.byteLength);
    return manifest;
  }

  /** A few long ones at a time, so that many requests for them do not take all the memory. */
  async #read(name: RepositoryName, target: Digest, call: ServiceCall): Promise<StoredManifest | undefined> {
    const stat = await this.#storage.stat(blobDataKey(target), call);
    const isLong = stat !== undefined && stat.size > CACHE.maxEntryBytes;
    const read = (): Promise<StoredManifest | undefined> => this.#readNow(name, target, stat, call);
    return isLong ? this.#reading.run(laneOf(target), read) : read();
  }

  /** @param stat of the content, from before */
  async #readNow(
    name: RepositoryName,
    target: Digest,
    stat: ObjectStat | undefined,
    call: ServiceCall,
  ): Promise<StoredManifest | undefined> {
    const shared = this.#verified.bytesOf(target, stat);
    const bytes = shared ?? (await this.#store.read(name, target, call));
    if (bytes === undefined) return undefined;
    const isWhole = stat?.size === bytes.byteLength;
    const mediaType = isWhole ? this.#verified.typeOf(target, stat) : undefined;
    const manifest = mediaType ? { mediaType, bytes } : this.#examined(name, target, bytes);
    const isLong = bytes.byteLength > CACHE.maxEntryBytes;
    if (manifest !== undefined && isWhole && isLong) this.#verified.add(target, stat, manifest);
    return manifest;
  }

  /** Undefined for bytes that cannot be served, which the log tells. */
  #examined(name: RepositoryName, target: Digest, bytes: Uint8Array): StoredManifest | undefined {
    const mediaType = this.#isSound(name, target, bytes) ? this.#typeOf(name, target, bytes) : undefined;
    return mediaType && { mediaType, bytes };
  }

  /** A disk may damage what it keeps; pushing the manifest once more mends it. */
  #isSound(name: RepositoryName, target: Digest, bytes: Uint8Array): boolean {
    if (bytes.byteLength > MAX_VERIFIED_BYTES || digestOf(algorithmOf(target), bytes) === target) return true;
    this.#logger?.warn({ repository: name, digest: target }, 'a stored manifest is damaged and not served');
    return false;
  }

  /** Undefined for what older servers stored and nobody can serve: schema 1, or damaged content. */
  #typeOf(name: RepositoryName, digest: Digest, bytes: Uint8Array): ManifestMediaType | undefined {
    try {
      return storedMediaType(bytes);
    } catch (error) {
      this.#logger?.warn({ err: error, repository: name, digest }, 'a stored manifest cannot be served');
      return undefined;
    }
  }

  async #findMissing(
    name: RepositoryName,
    required: ReturnType<typeof requiredContent>,
    call: ServiceCall,
  ): Promise<MissingContent | undefined> {
    const missing = await findMissing({ storage: this.#storage, links: this.#links }, name, required, call);
    return missing.descriptors.length === 0 ? undefined : missing;
  }
}

/** @throws DistributionError DIGEST_INVALID when the client names another digest */
function digestFor(reference: Reference, bytes: Uint8Array): Digest {
  if (reference.kind === 'tag') return digestOf('sha256', bytes);
  const { digest } = reference;
  if (digestOf(algorithmOf(digest), bytes) === digest) return digest;
  throw new DistributionError('DIGEST_INVALID', {
    message: 'the manifest has another digest',
    detail: { digest },
  });
}

function digestOf(algorithm: 'sha256' | 'sha512', bytes: Uint8Array): Digest {
  return parseDigest(`${algorithm}:${hash(algorithm, bytes, 'hex')}`);
}

function incomplete({ descriptors }: MissingContent): DistributionError {
  return new DistributionError('MANIFEST_BLOB_UNKNOWN', { detail: descriptors });
}

function unknownManifest(detail: object): DistributionError {
  return new DistributionError('MANIFEST_UNKNOWN', { detail });
}

function laneOf(digest: Digest): string {
  return String(Number.parseInt(digest.slice(-1), 16) % LANES);
}
