import { lstatSync, type Stats } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { resolve } from 'node:path';

import { ByteCache } from '../../../../shared/byte-cache.ts';
import type {
  ByteRange,
  ByteReader,
  CallOptions,
  DriverCapabilities,
  ListOptions,
  ListPage,
  ObjectStat,
  PutOptions,
  StorageDriver,
  StorageKey,
  WriteSession,
  WriteToken,
} from '../../driver.ts';
import { isStorageError } from '../../errors.ts';
import { statOf } from './file-stat.ts';
import { BytesReader } from './reader.ts';

/** Of paths and contents together. */
const CACHE = { maxBytes: 16 << 20, maxEntryBytes: 24 << 10 };
/** Longest content that is kept. */
const MAX_KEPT_BYTES = 16 << 10;
/** Memory of an entry beside its content, roughly. */
const ENTRY_BYTES = 600;
/**
 * A file that changed so shortly before it was read may change again without a new time stamp, because the clocks of
 * file systems tick slowly.
 */
const SETTLED_MS = 2000;
/** A look that takes longer has met a slow disk, or a machine that is very busy: the next ones let others run. */
const SLOW_MS = 20;
/** For so long. */
const REST_MS = 1000;

/**
 * File systems (`f_type` of statfs) whose inodes this kernel alone keeps: what another process writes is seen by the
 * next look, renaming changes the change time, and looking again at a file costs no input or output. On those of
 * servers (NFS, SMB, Ceph, FUSE) only opening a file is sure to ask the server.
 */
const LOCAL: ReadonlySet<number> = new Set([
  0xef_53, // ext2, ext3, ext4
  0x58_46_53_42, // XFS
  0x91_23_68_3e, // Btrfs
  0xf2_f5_20_10, // F2FS
  0x01_02_19_94, // tmpfs
  0x79_4c_76_30, // overlay
]);

export interface KnownFilesOptions {
  /** Absolute path of the root of the driver. */
  readonly root: string;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic?: () => number;
}

/** What tells whether a path still names the same content. */
interface Version {
  readonly inode: number;
  readonly size: number;
  readonly modified: number;
  readonly changed: number;
}

/** A path that was looked at before; with its content when that is small and was read twice. */
interface Known {
  readonly content?: { readonly version: Version; readonly bytes: Uint8Array };
}

/**
 * Whether {@link knownFiles} keeps the promises of the storage port on the file system of a folder.
 */
export async function isLocal(root: string): Promise<boolean> {
  try {
    const { type } = await statfs(root);
    return LOCAL.has(type);
  } catch {
    return false;
  }
}

/**
 * Spares the threads that Node uses for files, which cost several times as much as the small requests themselves:
 * files that were looked at lately are looked at synchronously, as the kernel has them in memory, and small ones are
 * kept until their inode, size or times change. Every call looks at the file; what other processes have changed is
 * seen by the next one. Cold files, larger ones and failures take the way of the driver.
 */
export function knownFiles(driver: StorageDriver, options: KnownFilesOptions): StorageDriver {
  return new KnownFiles(driver, options);
}

class KnownFiles implements StorageDriver {
  readonly #driver: StorageDriver;
  readonly #options: Required<KnownFilesOptions>;
  readonly #files = new ByteCache<Known>(CACHE);
  #restsUntil = -Infinity;

  constructor(
    driver: StorageDriver,
    { root, now = Date.now, monotonic = () => performance.now() }: KnownFilesOptions,
  ) {
    this.#driver = driver;
    this.#options = { root: resolve(root), now, monotonic };
  }

  get capabilities(): DriverCapabilities {
    return this.#driver.capabilities;
  }

  async stat(key: StorageKey, options?: CallOptions): Promise<ObjectStat | undefined> {
    const path = this.#path(key);
    if (this.#files.get(path) === undefined) {
      const stat = await this.#driver.stat(key, options);
      if (stat !== undefined) this.#remember(path, {});
      return stat;
    }
    const found = this.#look(path);
    return found ? statOf(found) : this.#driver.stat(key, options);
  }

  async get(key: StorageKey, maxBytes: number, options?: CallOptions): Promise<Uint8Array | undefined> {
    const path = this.#path(key);
    const known = this.#files.get(path);
    const found = known && this.#look(path);
    if (found === undefined) {
      const bytes = await this.#driver.get(key, maxBytes, options);
      if (bytes !== undefined) this.#remember(path, {});
      return bytes;
    }
    const kept = contentOf(known, found);
    if (kept !== undefined && kept.length <= maxBytes) return kept;
    const bytes = await this.#driver.get(key, maxBytes, options);
    this.#keep(path, found, bytes);
    return bytes;
  }

  async open(key: StorageKey, range?: ByteRange, options?: CallOptions): Promise<ByteReader | undefined> {
    const path = this.#path(key);
    const known = this.#files.get(path);
    const found = known && this.#look(path);
    const bytes = found && (contentOf(known, found) ?? (await this.#readSmall(key, found, options)));
    if (bytes !== undefined && (range?.end ?? 0) < bytes.length) {
      return new BytesReader(range ? bytes.subarray(range.start, range.end + 1) : bytes);
    }
    const reader = await this.#driver.open(key, range, options);
    if (reader !== undefined && known === undefined) this.#remember(path, {});
    return reader;
  }

  put(key: StorageKey, bytes: Uint8Array, options?: PutOptions): Promise<boolean> {
    return this.#driver.put(key, bytes, options);
  }

  startWrite(key: StorageKey, options?: CallOptions): Promise<WriteSession> {
    return this.#driver.startWrite(key, options);
  }

  resumeWrite(key: StorageKey, token?: WriteToken, options?: CallOptions): Promise<WriteSession | undefined> {
    return this.#driver.resumeWrite(key, token, options);
  }

  lastWrite(key: StorageKey, options?: CallOptions): Promise<Date | undefined> {
    return this.#driver.lastWrite(key, options);
  }

  sweepUnfinished(prefix: string, olderThan: Date, options?: CallOptions): Promise<number> {
    return this.#driver.sweepUnfinished(prefix, olderThan, options);
  }

  list(prefix: string, options?: ListOptions & CallOptions): Promise<ListPage> {
    return this.#driver.list(prefix, options);
  }

  move(from: StorageKey, to: StorageKey, options?: CallOptions): Promise<void> {
    return this.#driver.move(from, to, options);
  }

  delete(keys: readonly StorageKey[], options?: CallOptions): Promise<void> {
    return this.#driver.delete(keys, options);
  }

  redirectUrl(key: StorageKey, options?: CallOptions): Promise<string | undefined> {
    return this.#driver.redirectUrl(key, options);
  }

  check(options?: CallOptions): Promise<void> {
    return this.#driver.check(options);
  }

  close(): Promise<void> {
    return this.#driver.close();
  }

  /** @returns undefined for a file that is too long to be kept, or has become so */
  async #readSmall(key: StorageKey, found: Stats, options?: CallOptions): Promise<Uint8Array | undefined> {
    if (found.size > MAX_KEPT_BYTES) return undefined;
    try {
      const bytes = await this.#driver.get(key, MAX_KEPT_BYTES, options);
      this.#keep(this.#path(key), found, bytes);
      return bytes;
    } catch (error) {
      if (isStorageError(error, 'TOO_LARGE')) return undefined;
      throw error;
    }
  }

  #path(key: StorageKey): string {
    return `${this.#options.root}/${key}`;
  }

  #remember(path: string, known: Known): void {
    const bytes = ENTRY_BYTES + path.length + (known.content?.bytes.length ?? 0);
    this.#files.add(path, known, bytes);
  }

  /**
   * Content that was read between two looks that found the same, which was old by then, is that of the file until the
   * file looks different.
   */
  #keep(path: string, before: Stats, bytes: Uint8Array | undefined): void {
    if (bytes === undefined || bytes.length > MAX_KEPT_BYTES) return;
    const after = this.#look(path);
    if (after === undefined || bytes.length !== after.size) return;
    const version = versionOf(after);
    const age = this.#options.now() - Math.max(version.modified, version.changed);
    if (isSame(version, before) && age > SETTLED_MS) this.#remember(path, { content: { version, bytes } });
  }

  /** @returns undefined when the driver has to look: there is no such file any more, or it is something else */
  #look(path: string): Stats | undefined {
    const { monotonic } = this.#options;
    const start = monotonic();
    if (start < this.#restsUntil) return undefined;
    const found = lookAt(path);
    const end = monotonic();
    if (end - start > SLOW_MS) this.#restsUntil = end + REST_MS;
    if (found === undefined) this.#files.delete(path);
    return found;
  }
}

/** What fails here fails in the driver as well, which has words for it. */
function lookAt(path: string): Stats | undefined {
  try {
    const found = lstatSync(path, { throwIfNoEntry: false });
    return found?.isFile() === true ? found : undefined;
  } catch {
    return undefined;
  }
}

function contentOf(known: Known | undefined, found: Stats): Uint8Array | undefined {
  const content = known?.content;
  return content !== undefined && isSame(content.version, found) ? content.bytes : undefined;
}

function versionOf({ ino, size, mtimeMs, ctimeMs }: Stats): Version {
  return { inode: ino, size, modified: mtimeMs, changed: ctimeMs };
}

function isSame(version: Version, { ino, size, mtimeMs, ctimeMs }: Stats): boolean {
  return (
    version.inode === ino &&
    version.size === size &&
    version.modified === mtimeMs &&
    version.changed === ctimeMs
  );
}
