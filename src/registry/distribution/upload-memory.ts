import type { WriteToken } from '../storage/driver.ts';
import type { Digester } from './digester.ts';

/** What this process knows of a suspended upload beyond what the storage keeps. */
export interface RememberedUpload {
  /** Has digested exactly the first `digester.size` bytes. */
  readonly digester: Digester;
  /** Undefined before the first byte. */
  readonly token: WriteToken | undefined;
}

/** Sessions whose running digest is kept; the oldest beyond this are digested anew when they complete. */
const MAX_REMEMBERED = 1024;

/**
 * Running digests between the requests of an upload. Only a saving: an upload that is not remembered (other
 * replica, restart, too many sessions) is read again when it completes.
 */
export class UploadMemory {
  readonly #uploads = new Map<string, RememberedUpload>();

  /** Hands the knowledge over; the caller closes the digester or gives it back. */
  take(key: string): RememberedUpload | undefined {
    const found = this.#uploads.get(key);
    this.#uploads.delete(key);
    return found;
  }

  keep(key: string, upload: RememberedUpload): void {
    this.take(key)?.digester.close();
    this.#uploads.set(key, upload);
    const [oldest] = this.#uploads.keys();
    if (this.#uploads.size > MAX_REMEMBERED && oldest !== undefined) this.take(oldest)?.digester.close();
  }

  clear(): void {
    for (const { digester } of this.#uploads.values()) digester.close();
    this.#uploads.clear();
  }
}
