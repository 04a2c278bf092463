import type { RepositoryName, UploadId } from '../distribution/names.ts';

/** An upload session that a client has started here. */
export interface OpenUpload {
  readonly repository: RepositoryName;
  readonly id: UploadId;
}

interface Entry extends OpenUpload {
  readonly client: string;
  /** Milliseconds on the monotonic clock. */
  readonly startedAt: number;
}

interface ClientUploads {
  /** Sessions that are being started. */
  starting: number;
  /** When {@link OpenUploads.doubtful} has named some last, in milliseconds on the monotonic clock. */
  namedAt: number;
  readonly ids: Set<UploadId>;
}

/** A session counts for no longer, in milliseconds. */
const MAX_AGE_MS = 24 * 3600 * 1000;
/** Sessions of a client that are named at once for a look at them, and the time between two such looks. */
const DOUBTFUL = 16;
const DOUBT_INTERVAL_MS = 1000;
/** Sessions that are remembered, of all clients. */
const MAX_SESSIONS = 100_000;

/**
 * The upload sessions that clients have started on this replica and that are open as far as it knows: another
 * replica may have ended them. Only a memory of the last day, and bounded, because it is lost at a restart anyway.
 */
export class OpenUploads {
  readonly #maxSessions: number;
  readonly #clients = new Map<string, ClientUploads>();
  /** The oldest are first. */
  readonly #sessions = new Map<UploadId, Entry>();

  constructor(maxSessions = MAX_SESSIONS) {
    this.#maxSessions = maxSessions;
  }

  /** Sessions of all clients that are remembered. */
  get size(): number {
    return this.#sessions.size;
  }

  /** Clients that are remembered. */
  get clients(): number {
    return this.#clients.size;
  }

  /** Sessions of a client that are open, and those that are being started. */
  count(client: string): number {
    const uploads = this.#clients.get(client);
    return uploads ? uploads.starting + uploads.ids.size : 0;
  }

  /** Counts a session that is about to be started, until {@link started} or {@link failed}. */
  starting(client: string): void {
    this.#of(client).starting += 1;
  }

  /** No session has come of it. */
  failed(client: string): void {
    const uploads = this.#of(client);
    uploads.starting -= 1;
    this.#forgetIdle(client, uploads);
  }

  /** @param now milliseconds on the monotonic clock */
  started(client: string, { repository, id }: OpenUpload, now: number): void {
    const uploads = this.#of(client);
    uploads.starting -= 1;
    uploads.ids.add(id);
    this.#sessions.set(id, { repository, id, client, startedAt: now });
    this.#forgetOld(now);
  }

  /** Whether it is one of the sessions that count. */
  has({ repository, id }: OpenUpload): boolean {
    return this.#sessions.get(id)?.repository === repository;
  }

  /** The session is completed, cancelled or gone; one that is not known does no harm. */
  ended({ repository, id }: OpenUpload): void {
    const entry = this.#sessions.get(id);
    if (entry?.repository !== repository) return;
    this.#sessions.delete(id);
    const uploads = this.#of(entry.client);
    uploads.ids.delete(id);
    this.#forgetIdle(entry.client, uploads);
  }

  /**
   * Sessions of a client that may have ended elsewhere: a few of those that were started, or named here, longest ago.
   * None when some were named a moment ago.
   *
   * @param now milliseconds on the monotonic clock
   */
  doubtful(client: string, now: number): readonly OpenUpload[] {
    const uploads = this.#clients.get(client);
    if (!uploads || now - uploads.namedAt < DOUBT_INTERVAL_MS) return [];
    uploads.namedAt = now;
    const chosen = [...uploads.ids].slice(0, DOUBTFUL);
    for (const id of chosen) {
      uploads.ids.delete(id);
      uploads.ids.add(id);
    }
    return chosen.flatMap((id) => this.#sessions.get(id) ?? []);
  }

  #of(client: string): ClientUploads {
    let uploads = this.#clients.get(client);
    if (!uploads) {
      uploads = { starting: 0, namedAt: -Infinity, ids: new Set() };
      this.#clients.set(client, uploads);
    }
    return uploads;
  }

  #forgetOld(now: number): void {
    for (const entry of this.#sessions.values()) {
      if (now - entry.startedAt < MAX_AGE_MS && this.#sessions.size <= this.#maxSessions) return;
      this.ended(entry);
    }
  }

  #forgetIdle(client: string, { starting, ids }: ClientUploads): void {
    if (starting === 0 && ids.size === 0) this.#clients.delete(client);
  }
}
