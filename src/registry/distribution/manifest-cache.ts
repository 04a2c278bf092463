import type { Digest } from './digest.ts';
import type { ManifestMediaType } from './media-types.ts';

/** A stored manifest: the exact bytes of the push. */
export interface StoredManifest {
  readonly mediaType: ManifestMediaType;
  readonly bytes: Uint8Array;
}

const MAX_CACHE_BYTES = 16 << 20;
/** Larger manifests are rare, and would push many others out. */
const MAX_ENTRY_BYTES = 256 << 10;

/**
 * The manifests that were asked for last, by digest. The bytes of a digest never change, so nothing here can
 * be stale; whether a repository has the manifest is asked of the storage every time.
 */
export class ManifestCache {
  readonly #entries = new Map<Digest, StoredManifest>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes = MAX_CACHE_BYTES) {
    this.#maxBytes = maxBytes;
  }

  get(digest: Digest): StoredManifest | undefined {
    const entry = this.#entries.get(digest);
    if (entry === undefined) return undefined;
    this.#entries.delete(digest);
    this.#entries.set(digest, entry);
    return entry;
  }

  add(digest: Digest, manifest: StoredManifest): void {
    this.#remove(digest);
    if (manifest.bytes.byteLength > MAX_ENTRY_BYTES) return;
    this.#entries.set(digest, manifest);
    this.#bytes += manifest.bytes.byteLength;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#remove(oldest);
    }
  }

  #remove(digest: Digest): void {
    this.#bytes -= this.#entries.get(digest)?.bytes.byteLength ?? 0;
    this.#entries.delete(digest);
  }
}
