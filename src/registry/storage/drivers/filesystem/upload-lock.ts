import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, rename, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { errorCode } from '../../../../shared/errors.ts';
import { failure, isMissing } from './failure.ts';
import { place } from './folders.ts';
import { type ProcessIdentity, isAlive } from './process-identity.ts';

/** Ends the name of a lock; `~` is in no key, so locks never show in listings. */
export const LOCK_SUFFIX = '~lock';

/** How often a holder says that it lives, in milliseconds. */
const BEAT_MS = 10_000;
/** A holder that has not been heard of for this long is taken for dead. */
const EXPIRY_MS = 30_000;

export interface LockEnvironment {
  readonly identity: ProcessIdentity;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Absolute path of the folder for files that are removed some time if they are left behind. */
  readonly temporary: string;
}

interface LockContent extends ProcessIdentity {
  readonly id: string;
}

/**
 * The exclusive right to write one unfinished upload: a file `<upload>~lock` that one writer alone can make.
 *
 * The lock of a process that died on this boot of this machine in this container is taken over at once. Of any
 * other holder (another replica on a shared volume, an earlier container) only its silence can tell, so the
 * holder touches the file every ten seconds. A holder that was suspended for longer finds out by
 * {@link verify} before it does harm.
 */
export class UploadLock {
  readonly #path: string;
  readonly #id: string;
  readonly #now: () => number;
  readonly #timer: NodeJS.Timeout;
  #lastBeat: number;

  private constructor(path: string, id: string, now: () => number) {
    this.#path = path;
    this.#id = id;
    this.#now = now;
    this.#lastBeat = now();
    this.#timer = setInterval(() => void this.#beat(), BEAT_MS);
    this.#timer.unref();
  }

  /**
   * @param file path of the upload
   * @throws StorageError SESSION_BUSY
   */
  static async acquire(file: string, environment: LockEnvironment, operation: string): Promise<UploadLock> {
    const path = file + LOCK_SUFFIX;
    const content: LockContent = { id: randomUUID(), ...environment.identity };
    if (
      !(await create(path, content, environment)) &&
      !((await removeStale(path, environment)) && (await create(path, content, environment)))
    ) {
      throw failure('SESSION_BUSY', operation, `another writer holds ${file}`);
    }
    return new UploadLock(path, content.id, environment.now);
  }

  /** @throws StorageError SESSION_BUSY when another writer took the lock over */
  async verify(operation: string): Promise<void> {
    if (!(await this.#isOurs())) {
      throw failure('SESSION_BUSY', operation, `another writer took over ${this.#path}`);
    }
  }

  /** As {@link verify}, but only asks the disk when this process may have been suspended. */
  async verifyWhenLate(operation: string): Promise<void> {
    if (this.#now() - this.#lastBeat > 2 * BEAT_MS) {
      await this.verify(operation);
      await this.#beat();
    }
  }

  async release(): Promise<void> {
    clearInterval(this.#timer);
    if (await this.#isOurs()) await unlink(this.#path).catch(ignoreMissing);
  }

  async #isOurs(): Promise<boolean> {
    return (await readLock(this.#path))?.id === this.#id;
  }

  async #beat(): Promise<void> {
    const now = this.#now();
    try {
      if (!(await this.#isOurs())) {
        clearInterval(this.#timer);
        return;
      }
      await utimes(this.#path, now / 1000, now / 1000);
      this.#lastBeat = now;
    } catch {
      // The next append verifies the lock, because the last beat is long ago then.
    }
  }
}

/** File systems that know no hard links say so with one of these. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/**
 * Makes the lock with its content at once: from an empty one, which a process leaves that dies after it has made
 * it, nobody can tell whose it is.
 *
 * @returns false when there is one
 */
async function create(path: string, content: LockContent, { temporary }: LockEnvironment): Promise<boolean> {
  const filled = join(temporary, content.id);
  try {
    await place(filled, () => writeFile(filled, JSON.stringify(content), { flag: 'wx' }));
    await place(path, () => link(filled, path));
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    if (!NO_LINKS.has(errorCode(error) ?? '')) throw error;
    return await createInSteps(path, content);
  } finally {
    await unlink(filled).catch(ignoreMissing);
  }
}

async function createInSteps(path: string, content: LockContent): Promise<boolean> {
  try {
    const handle = await place(path, () => open(path, 'wx'));
    try {
      await handle.writeFile(JSON.stringify(content));
    } catch (error) {
      // On a full disk: an empty lock would keep everybody away until it expires.
      await unlink(path).catch(ignoreMissing);
      throw error;
    } finally {
      await handle.close();
    }
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

/** @returns false when the lock is held */
async function removeStale(path: string, environment: LockEnvironment): Promise<boolean> {
  const stale = await readLock(path);
  const alive = stale === undefined ? undefined : isAlive(stale, environment.identity);
  if (alive === true) return false;
  if (alive === undefined && (await isFresh(path, environment.now()))) return false;
  // Renamed first and looked at then: another contender may have put its own new lock here meanwhile.
  const moved = join(environment.temporary, randomUUID());
  try {
    await mkdir(environment.temporary, { recursive: true });
    await rename(path, moved);
  } catch (error) {
    if (isMissing(error)) return true;
    throw error;
  }
  const removed = (await readLock(moved))?.id === stale?.id;
  if (!removed) await link(moved, path).catch(ignoreExisting);
  await unlink(moved);
  return removed;
}

async function isFresh(path: string, now: number): Promise<boolean> {
  try {
    return now - (await stat(path)).mtimeMs < EXPIRY_MS;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** @returns undefined when there is no lock, or its writer died before it had filled it */
async function readLock(path: string): Promise<LockContent | undefined> {
  try {
    return parseLock(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if (isMissing(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function parseLock(value: unknown): LockContent | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { id, host, boot, pidNamespace, pid, started } = { ...EMPTY_LOCK, ...value };
  const texts = [id, host, boot, pidNamespace, started];
  if (!texts.every((text) => typeof text === 'string') || typeof pid !== 'number') return undefined;
  return { id, host, boot, pidNamespace, pid, started };
}

const EMPTY_LOCK: LockContent = { id: '', host: '', boot: '', pidNamespace: '', pid: 0, started: '' };

function ignoreMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}

function ignoreExisting(error: unknown): void {
  if (errorCode(error) !== 'EEXIST') throw error;
}
