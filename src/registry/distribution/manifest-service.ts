import { hash } from 'node:crypto';

import type { StorageDriver } from '../storage/driver.ts';
import type { Descriptor } from './descriptor.ts';
import { algorithmOf, type Digest, parseDigest } from './digest.ts';
import { DistributionError } from './errors.ts';
import { blobDataKey, revisionLinkKey } from './layout.ts';
import { Links } from './links.ts';
import { ManifestCache, type StoredManifest } from './manifest-cache.ts';
import { parseManifest, storedMediaType } from './manifest-parser.ts';
import { findMissing, requiredContent } from './manifest-references.ts';
import type { ManifestMediaType } from './media-types.ts';
import type { RepositoryName } from './names.ts';
import type { Reference } from './reference.ts';
import type { ServiceCall, ServiceDependencies } from './service-dependencies.ts';
import { Tags } from './tags.ts';

/** Longest manifest; the spec asks registries to accept this much, and clients to expect no more. */
export const MAX_MANIFEST_BYTES = 4 << 20;

/** A manifest as a client pushes it. */
export interface PushedManifest {
  /** Content-Type of the request. */
  readonly contentType: string | undefined;
  readonly bytes: Uint8Array;
}

/**
 * Manifests of repositories (OCI dist-spec "Pulling manifests", "Pushing Manifests", "Deleting Manifests").
 * Bytes are kept exactly as they were pushed, and digests of both algorithms are equal: content is stored
 * below the digest that the manifest was pushed by.
 */
export class ManifestService {
  readonly #storage: StorageDriver;
  readonly #links: Links;
  readonly #tags: Tags;
  readonly #logger: ServiceDependencies['logger'];
  readonly #cache = new ManifestCache();

  constructor({ storage, logger }: Pick<ServiceDependencies, 'storage' | 'logger'>) {
    this.#storage = storage;
    this.#logger = logger;
    this.#links = new Links(storage, logger);
    this.#tags = new Tags(storage, logger);
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
    const { digest, manifest } = await this.#find(name, reference, call);
    const { mediaType, bytes } = manifest;
    return { descriptor: { mediaType, digest, size: bytes.byteLength }, bytes };
  }

  /** @throws DistributionError MANIFEST_UNKNOWN */
  async stat(name: RepositoryName, reference: Reference, call: ServiceCall): Promise<Descriptor> {
    const { descriptor } = await this.get(name, reference, call);
    return descriptor;
  }

  /**
   * Stores a manifest whose content is complete, and points the tag to it.
   *
   * @throws DistributionError MANIFEST_INVALID (413, 415), DIGEST_INVALID when the reference is another
   *   digest, MANIFEST_BLOB_UNKNOWN with one detail per missing content
   */
  async put(
    name: RepositoryName,
    reference: Reference,
    pushed: PushedManifest,
    call: ServiceCall,
  ): Promise<Descriptor> {
    const { bytes } = pushed;
    if (bytes.byteLength > MAX_MANIFEST_BYTES) throw tooLarge();
    const digest = digestFor(reference, bytes);
    const { mediaType, content } = parseManifest(bytes, pushed.contentType);
    await this.#requireContent(name, requiredContent(content), call);

    // Each step makes the next one valid: nobody sees a tag or a revision without its content.
    const key = blobDataKey(digest);
    const stored = await this.#storage.stat(key, call);
    if (stored?.size !== bytes.byteLength) await this.#storage.put(key, bytes, call);
    await this.#links.write(revisionLinkKey(name, digest), digest, call);
    if (reference.kind === 'tag') await this.#tags.point(name, reference.tag, digest, call);

    return { mediaType, digest, size: bytes.byteLength };
  }

  /**
   * Removes the manifest from this repository, with every tag that points to it.
   *
   * @throws DistributionError MANIFEST_UNKNOWN
   */
  async delete(name: RepositoryName, digest: Digest, call: ServiceCall): Promise<void> {
    const key = revisionLinkKey(name, digest);
    if ((await this.#storage.stat(key, call)) === undefined) throw unknownManifest({ digest });
    await this.#tags.deletePointingTo(name, digest, call);
    await this.#storage.delete([key], call);
  }

  async #find(
    name: RepositoryName,
    reference: Reference,
    call: ServiceCall,
  ): Promise<{ digest: Digest; manifest: StoredManifest }> {
    if (reference.kind === 'digest') {
      const { digest } = reference;
      const manifest = await this.#load(name, digest, call);
      if (manifest === undefined) throw unknownManifest({ digest });
      return { digest, manifest };
    }
    const { tag } = reference;
    const digest = await this.#tags.resolve(name, tag, call);
    const manifest = digest && (await this.#load(name, digest, call));
    if (digest === undefined || manifest === undefined) throw unknownManifest({ tag });
    return { digest, manifest };
  }

  /** The manifest, when the repository has it: the storage is asked for the link every time. */
  async #load(name: RepositoryName, digest: Digest, call: ServiceCall): Promise<StoredManifest | undefined> {
    const target = await this.#links.resolve(revisionLinkKey(name, digest), digest, call);
    if (target === undefined) return undefined;
    const cached = this.#cache.get(target);
    if (cached !== undefined) return cached;
    const bytes = await this.#storage.get(blobDataKey(target), MAX_MANIFEST_BYTES, call);
    if (bytes === undefined) {
      this.#logger?.warn({ repository: name, digest }, 'a manifest has a link and no content');
      return undefined;
    }
    const mediaType = this.#typeOf(name, digest, bytes);
    if (mediaType === undefined) return undefined;
    const manifest = { mediaType, bytes };
    this.#cache.add(target, manifest);
    return manifest;
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

  async #requireContent(
    name: RepositoryName,
    required: ReturnType<typeof requiredContent>,
    call: ServiceCall,
  ): Promise<void> {
    const store = { storage: this.#storage, links: this.#links };
    const missing = await findMissing(store, name, required, call);
    if (missing.length === 0) return;
    throw new DistributionError('MANIFEST_BLOB_UNKNOWN', { detail: missing });
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

function tooLarge(): DistributionError {
  return new DistributionError('MANIFEST_INVALID', {
    status: 413,
    message: `manifest invalid: longer than ${MAX_MANIFEST_BYTES} bytes`,
  });
}

function unknownManifest(detail: object): DistributionError {
  return new DistributionError('MANIFEST_UNKNOWN', { detail });
}
