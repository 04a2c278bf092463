/**
 * The storage port. Every back end implements {@link StorageDriver}; the registry knows nothing else of
 * storage. One conformance suite (test/conformance/storage) states the contract and runs against every
 * driver.
 *
 * Keys are relative paths (`docker/registry/v2/blobs/…`), made only by `distribution/layout.ts`. A key
 * names bytes; folders exist only as common prefixes. Reads after a completed write see that write, on every
 * replica.
 */

declare const storageKey: unique symbol;
/** A path relative to the root of the storage: segments of `[A-Za-z0-9._-]+` (and `=`/`+` in digests) joined by `/`. */
export type StorageKey = string & { readonly [storageKey]: true };

/** What is known of a stored object without reading it. */
export interface ObjectStat {
  /** Length in bytes. */
  readonly size: number;
  readonly modifiedAt: Date;
  /** When it came to its place, where the storage knows: copies may bring an older `modifiedAt` along. */
  readonly placedAt?: Date;
}

/** A byte range, both ends inclusive as in HTTP. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Reads one object front to back, at the pace of the caller. */
export interface ByteReader {
  /** Bytes that this reader yields in all: the length of the range, or of the object. */
  readonly size: number;
  /**
   * The next bytes, or undefined at the end. The view stays valid until the second following `read`
   * (the file system alternates two pooled buffers).
   *
   * @throws StorageError READ_FAILED when the object ends early or the back end fails
   */
  read(): Promise<Uint8Array | undefined>;
  /**
   * Gives buffers and connections back; safe to call twice and in the middle of the object. Every view is void
   * after it, so close only when the last bytes have left (the callback of the last socket write).
   */
  close(): Promise<void>;
}

/** Opaque state of a suspended {@link WriteSession}; survives a restart and may go on in another process. */
export type WriteToken = string;

/** An object that is being written and that nobody sees before {@link WriteSession.commit}. */
export interface WriteSession {
  /** Bytes accepted so far; also the offset of the next `append`. */
  readonly offset: number;
  /** Resolves when the buffer may be used again; durable only after `flush`, `suspend` or `commit`. */
  append(chunk: Uint8Array): Promise<void>;
  /** Makes every accepted byte durable where the back end can (a part below the minimum size stays buffered until suspend). */
  flush(): Promise<void>;
  /**
   * Makes everything durable, ends this object and returns what {@link StorageDriver.resumeWrite} needs. The object
   * ends also when it throws: it then gives its buffers, files and locks back, and what is durable stays.
   */
  suspend(): Promise<WriteToken>;
  /** Makes the bytes visible under the final key at once and durably. Overwrites. */
  commit(key: StorageKey): Promise<void>;
  /** Discards everything. Safe after the end of the session, when it does nothing. */
  abort(): Promise<void>;
}

export interface ListOptions {
  /** Only names after this one, in byte order. Relative to the prefix, as returned. */
  readonly after?: string;
  /** At most this many entries; 1 to 1000, default 1000. */
  readonly limit?: number;
  /** `'/'` folds everything below the next slash into one entry whose name ends with `/`. Unset lists all keys below the prefix. */
  readonly delimiter?: '/';
  /**
   * Wants an empty page with {@link ListPage.version}, which is unset where the driver cannot tell without reading the
   * names, or at this moment.
   */
  readonly onlyVersion?: true;
}

export interface ListEntry {
  /** Relative to the prefix; ends with `/` when it stands for a folder. */
  readonly name: string;
}

export interface ListPage {
  /** In byte order of the UTF-8 names (a folder sorts by its name with the slash). */
  readonly entries: readonly ListEntry[];
  /** There is more after the last entry. */
  readonly more: boolean;
  /** Only with {@link ListOptions.onlyVersion}: stays the same until a name directly below the prefix comes or goes. */
  readonly version?: string;
}

/** What a driver can do, as data: callers branch on this, never on the driver's name. */
export interface DriverCapabilities {
  readonly name: 'filesystem' | 'memory' | 's3';
  /** `put` with `ifAbsent` is atomic between writers. */
  readonly conditionalPut: boolean;
  /** A listing without delimiter costs as much per entry however many folders the entries are in. */
  readonly flatListing: boolean;
  /** `redirectUrl` can return a URL. */
  readonly redirect: boolean;
  /** Content survives this process. */
  readonly persistent: boolean;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface PutOptions extends CallOptions {
  /** Only when there is nothing at the key. */
  readonly ifAbsent?: boolean;
  /**
   * A power cut may take the object back: it is an entry of an index, which is amended from what is durable. Nothing
   * else is lost with it, and who reads it sees all of it or nothing as ever.
   */
  readonly rebuildable?: boolean;
}

export interface StorageDriver {
  readonly capabilities: DriverCapabilities;

  /** @returns undefined when there is no such object */
  stat(key: StorageKey, options?: CallOptions): Promise<ObjectStat | undefined>;

  /**
   * A whole small object.
   * @param maxBytes limit of what is read
   * @returns undefined when there is no such object
   * @throws StorageError TOO_LARGE when the object is longer than `maxBytes`
   */
  get(key: StorageKey, maxBytes: number, options?: CallOptions): Promise<Uint8Array | undefined>;

  /**
   * Writes a small object atomically, and durably unless it is `rebuildable`.
   * @returns false when `ifAbsent` was set and the key exists already
   */
  put(key: StorageKey, bytes: Uint8Array, options?: PutOptions): Promise<boolean>;

  /** @returns undefined when there is no such object. A range beyond the end is the caller's mistake: StorageError INVALID_RANGE. */
  open(key: StorageKey, range?: ByteRange, options?: CallOptions): Promise<ByteReader | undefined>;

  /**
   * Starts an upload. `key` is where unfinished bytes may be kept: `…/_uploads/<uuid>/data`. On a file system
   * they stand in exactly that file, as distribution writes them.
   */
  startWrite(key: StorageKey, options?: CallOptions): Promise<WriteSession>;

  /**
   * Goes on with a suspended or interrupted upload. Without a token (the process died) the driver finds what is
   * durable by the key alone.
   *
   * @returns undefined when nothing of it is left
   * @throws StorageError SESSION_BUSY when another writer holds the session
   */
  resumeWrite(key: StorageKey, token?: WriteToken, options?: CallOptions): Promise<WriteSession | undefined>;

  /**
   * When something of the unfinished upload at this key was last stored, by whatever process. Without unfinished
   * bytes it may be the time of what is kept beside them.
   *
   * @returns undefined when nothing is known of it
   */
  lastWrite(key: StorageKey, options?: CallOptions): Promise<Date | undefined>;

  /**
   * Removes what processes that died left unfinished below a prefix (as in `list`) and no list shows, as far as
   * nothing was stored of it since a moment: temporary files, parts of copies, uploads that have nothing but parts.
   *
   * @returns how many unfinished writes were removed
   */
  sweepUnfinished(prefix: string, olderThan: Date, options?: CallOptions): Promise<number>;

  /** Entries below a prefix (which ends with `/`, or is empty for the root). A missing prefix is an empty page. */
  list(prefix: string, options?: ListOptions & CallOptions): Promise<ListPage>;

  /** Atomic where the back end can; else copy then delete. @throws StorageError NOT_FOUND */
  move(from: StorageKey, to: StorageKey, options?: CallOptions): Promise<void>;

  /** Missing keys are not an error. Also removes folders that became empty. */
  delete(keys: readonly StorageKey[], options?: CallOptions): Promise<void>;

  /** A URL that a client may GET for a while without credentials, or undefined. */
  redirectUrl(key: StorageKey, options?: CallOptions): Promise<string | undefined>;

  /** Succeeds when the back end answers and is writable as configured; used by readiness. */
  check(options?: CallOptions): Promise<void>;

  close(): Promise<void>;
}
