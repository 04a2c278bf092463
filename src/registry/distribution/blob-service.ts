import type { ByteRange, ByteReader, StorageDriver } from '../storage/driver.ts';
import type { Descriptor } from './descriptor.ts';
import { algorithmOf, type Digest } from './digest.ts';
import { DistributionError } from './errors.ts';
import { HolderIndex } from './holder-index.ts';
import { blobDataKey, layerLinkKey } from './layout.ts';
import { Links } from './links.ts';
import { OCTET_STREAM } from './media-types.ts';
import type { RepositoryName } from './names.ts';
import type { ServiceCall, ServiceDependencies } from './service-dependencies.ts';

/** A blob that is open for reading; whoever gets it closes the reader. */
export interface OpenBlob {
  readonly descriptor: Descriptor;
  readonly reader: ByteReader;
}

export interface MountCall extends ServiceCall {
  /** Whether the client may pull from a repository that it has not named. */
  readonly mayPull?: (repository: RepositoryName) => boolean | Promise<boolean>;
}

/**
 * Blobs of repositories (OCI dist-spec "Pulling blobs", "Mounting a blob", "Deleting Blobs").
 *
 * Content is shared between repositories, visibility is not: only a link in this repository makes a blob
 * exist for it, whatever else the storage holds.
 */
export class BlobService {
  readonly #storage: StorageDriver;
  readonly #links: Links;
  readonly #holders: HolderIndex;

  constructor({ storage, logger }: Pick<ServiceDependencies, 'storage' | 'logger'>) {
    this.#storage = storage;
    this.#holders = new HolderIndex(storage);
    this.#links = new Links(storage, logger);
  }

  /** @throws DistributionError BLOB_UNKNOWN */
  async stat(name: RepositoryName, digest: Digest, call: ServiceCall): Promise<Descriptor> {
    const found = await this.#find(name, digest, call);
    return found?.descriptor ?? throwUnknown(digest);
  }

  /**
   * @param range both ends inclusive; undefined is the whole blob. The descriptor tells the whole size either way
   * @throws DistributionError BLOB_UNKNOWN; StorageError INVALID_RANGE for a range beyond the end
   */
  async open(
    name: RepositoryName,
    digest: Digest,
    range: ByteRange | undefined,
    call: ServiceCall,
  ): Promise<OpenBlob> {
    return range === undefined
      ? this.#openWhole(name, digest, call)
      : this.#openRange(name, digest, range, call);
  }

  /**
   * Makes a blob of another repository a blob of this one as well. The caller has checked that the client may
   * pull from `from`. When `from` does not help, repositories are tried that are noted to have the blob.
   *
   * @param call `mayPull` tells from which of those the client may pull; from all when it is missing
   * @returns undefined when it cannot be mounted, and the client has to upload it
   */
  async mount(
    name: RepositoryName,
    digest: Digest,
    from: RepositoryName | undefined,
    call: MountCall,
  ): Promise<Descriptor | undefined> {
    for await (const source of this.#sources(name, digest, from, call)) {
      const found = await this.#find(source, digest, call);
      if (found === undefined) continue;
      await this.#links.linkLayer(name, digest, found.target, call);
      return found.descriptor;
    }
    return undefined;
  }

  /**
   * Removes the blob from this repository. The content stays for others, and for a garbage collection.
   *
   * Only the digest that is named goes, as with distribution. A blob that was pushed by its sha512 has a link by its
   * sha256 too, without which distribution does not serve it. Nothing tells whether somebody else pushed it by that
   * one, and an image would lack a layer if it went: what nothing refers to is for a garbage collection.
   *
   * @throws DistributionError BLOB_UNKNOWN
   */
  async delete(name: RepositoryName, digest: Digest, call: ServiceCall): Promise<void> {
    // A link without content may be that of an upload that is about to end, and would be missing afterwards.
    if ((await this.#find(name, digest, call)) === undefined) throwUnknown(digest);
    await this.#links.unlinkLayer(name, digest, call);
  }

  /** Repositories that may have the blob, the likely ones first. */
  async *#sources(
    name: RepositoryName,
    digest: Digest,
    from: RepositoryName | undefined,
    { signal, mayPull = () => true }: MountCall,
  ): AsyncGenerator<RepositoryName> {
    if (from !== undefined) yield from;
    let tried = 0;
    for (const source of await this.#holders.candidates(digest, MAX_NOTED, { signal })) {
      if (tried === MAX_TRIED) return;
      if (source === from || (source !== name && !(await mayPull(source)))) continue;
      tried++;
      yield source;
    }
  }

  async #find(name: RepositoryName, digest: Digest, call: ServiceCall): Promise<FoundBlob | undefined> {
    const link = this.#links.resolve(layerLinkKey(name, digest), digest, call);
    if (!isStoredBySelf(digest)) {
      const target = await link;
      const stat = target && (await this.#storage.stat(blobDataKey(target), call));
      return target && stat && { descriptor: blobDescriptor(digest, stat.size), target };
    }
    const [target, stat] = await Promise.all([link, this.#storage.stat(blobDataKey(digest), call)]);
    return target && stat && { descriptor: blobDescriptor(digest, stat.size), target };
  }

  async #openWhole(name: RepositoryName, digest: Digest, call: ServiceCall): Promise<OpenBlob> {
    const link = this.#links.resolve(layerLinkKey(name, digest), digest, call);
    const opening = this.#openData(digest, link, call);
    const [target, reader] = await Promise.allSettled([link, opening]);
    if (reader.status === 'rejected') throw reader.reason;
    if (target.status === 'fulfilled' && target.value !== undefined && reader.value !== undefined) {
      return { descriptor: blobDescriptor(digest, reader.value.size), reader: reader.value };
    }
    await reader.value?.close();
    if (target.status === 'rejected') throw target.reason;
    return throwUnknown(digest);
  }

  /** Opens the content before the link is known where the key does not depend on it. */
  async #openData(
    digest: Digest,
    link: Promise<Digest | undefined>,
    call: ServiceCall,
  ): Promise<ByteReader | undefined> {
    const target = isStoredBySelf(digest) ? digest : await link;
    return target && this.#storage.open(blobDataKey(target), undefined, call);
  }

  async #openRange(
    name: RepositoryName,
    digest: Digest,
    range: ByteRange,
    call: ServiceCall,
  ): Promise<OpenBlob> {
    const found = (await this.#find(name, digest, call)) ?? throwUnknown(digest);
    const reader = await this.#storage.open(blobDataKey(found.target), range, call);
    return reader === undefined ? throwUnknown(digest) : { descriptor: found.descriptor, reader };
  }
}

/** Repositories that are asked for their link: entries of those that lost the blob otherwise than by us could be many. */
const MAX_TRIED = 8;
/** Repositories of which it is asked whether the client may pull from them. */
const MAX_NOTED = 100;

interface FoundBlob {
  readonly descriptor: Descriptor;
  /** The digest below which the content is stored. */
  readonly target: Digest;
}

/** Whether a link can only name its own digest, so that link and content may be asked for at once. */
function isStoredBySelf(digest: Digest): boolean {
  return algorithmOf(digest) === 'sha256';
}

/** What a blob is to a client: the registry does not remember the type that a descriptor gave it. */
export function blobDescriptor(digest: Digest, size: number): Descriptor {
  return { mediaType: OCTET_STREAM, digest, size };
}

function throwUnknown(digest: Digest): never {
  throw new DistributionError('BLOB_UNKNOWN', { detail: { digest } });
}
