import type { ObjectStat } from '../storage/driver.ts';
import type { Digest } from './digest.ts';
import type { ManifestMediaType } from './media-types.ts';

interface Verified extends ObjectStat {
  readonly mediaType: ManifestMediaType;
  /** As long as an answer holds them, others may use them as well. */
  readonly bytes: WeakRef<Uint8Array>;
}

interface Manifest {
  readonly mediaType: ManifestMediaType;
  readonly bytes: Uint8Array;
}

/** As many are remembered; a few hundred bytes each. */
const MAX_ENTRIES = 4096;

/**
 * Manifests that are too long to be kept, and what was found when they were read: that the bytes are those of the
 * digest, and of which type they are. Finding it out again for every request would hold up all others.
 */
export class VerifiedManifests {
  /** The one that was remembered first comes first. */
  readonly #entries = new Map<Digest, Verified>();

  has(digest: Digest): boolean {
    return this.#entries.has(digest);
  }

  /** @param stat of the content, from before it was read: what is written meanwhile was not looked at */
  add(digest: Digest, { size, modifiedAt }: ObjectStat, manifest: Manifest): void {
    const { mediaType, bytes } = manifest;
    this.#entries.delete(digest);
    this.#entries.set(digest, { size, modifiedAt, mediaType, bytes: new WeakRef(bytes) });
    if (this.#entries.size <= MAX_ENTRIES) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      return;
    }
  }

  /** The type, when the content is still the one that was looked at. */
  typeOf(digest: Digest, stat: ObjectStat | undefined): ManifestMediaType | undefined {
    return this.#find(digest, stat)?.mediaType;
  }

  /** The bytes, when they are in memory anyway and the content is still the one that was looked at. */
  bytesOf(digest: Digest, stat: ObjectStat | undefined): Uint8Array | undefined {
    return this.#find(digest, stat)?.bytes.deref();
  }

  #find(digest: Digest, stat: ObjectStat | undefined): Verified | undefined {
    const entry = this.#entries.get(digest);
    const isSame = entry?.size === stat?.size && entry?.modifiedAt.getTime() === stat?.modifiedAt.getTime();
    return isSame ? entry : undefined;
  }
}
