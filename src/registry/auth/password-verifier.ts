import { Worker } from 'node:worker_threads';

import { AppError } from '../../shared/errors.ts';
import { FairQueue } from './fair-queue.ts';
import type { PasswordAnswer, PasswordQuestion } from './password-worker.ts';
import type { Caller } from './types.ts';

/** Checks that the worker has at hand at once: one runs, one waits, so that it never idles. */
const IN_FLIGHT = 2;
/** Further checks that may wait for their turn. */
const QUEUE = 64;

/** More passwords wait to be checked than this server takes on. */
export class TooManyLogins extends AppError {
  override readonly name = 'TooManyLogins';

  constructor() {
    super('TOO_MANY_LOGINS', 'too many passwords are waiting to be checked');
  }
}

interface Check {
  readonly password: string;
  readonly hash: string;
  readonly clientKey: string;
  resolve(matches: boolean): void;
  reject(error: Error): void;
}

/**
 * Compares passwords with bcrypt hashes (`$2a$`, `$2b$`, `$2y$`) in one worker thread, which starts with the
 * first check. As in every bcrypt implementation only the first 72 bytes of a password count.
 *
 * Clients take turns, and when the queue is full the one with most checks in it makes way: whoever sends passwords
 * without end keeps nobody else from logging in.
 */
export class PasswordVerifier {
  readonly #waiting = new FairQueue<Check>(QUEUE, ({ clientKey }) => clientKey);
  readonly #running = new Map<number, Check>();
  #worker: Worker | undefined;
  #lastId = 0;
  #closed = false;

  /** @throws TooManyLogins when the queue is full, and the reason of the signal when it is aborted before the turn */
  matches(password: string, hash: string, { clientKey, signal }: Caller): Promise<boolean> {
    if (this.#closed) return Promise.reject(new Error('the password verifier is closed'));
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    const check: Check = { password, hash, clientKey, resolve, reject };
    const leave = (): void => {
      if (this.#waiting.remove(check)) reject(signal.reason);
    };
    this.#waiting.add(check)?.reject(new TooManyLogins());
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
    this.#next();
    return promise.finally(() => signal.removeEventListener('abort', leave));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#fail(new Error('the password verifier is closed'));
    await this.#worker?.terminate();
  }

  #next(): void {
    while (this.#running.size < IN_FLIGHT) {
      const check = this.#waiting.take();
      if (!check) return;
      this.#lastId += 1;
      const question: PasswordQuestion = {
        id: this.#lastId,
        password: check.password,
        hash: check.hash,
      };
      this.#running.set(question.id, check);
      this.#worker ??= this.#start();
      this.#worker.postMessage(question, []);
    }
  }

  #start(): Worker {
    const worker = new Worker(workerFile());
    worker.unref();
    worker.on('message', ({ id, matches }: PasswordAnswer) => {
      const check = this.#running.get(id);
      this.#running.delete(id);
      this.#next();
      check?.resolve(matches);
    });
    worker.on('error', (error) => this.#lost(worker, error));
    worker.on('exit', () => this.#lost(worker, new Error('the password worker has ended')));
    return worker;
  }

  /** The next check starts another worker. */
  #lost(worker: Worker, error: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#fail(
      error instanceof Error ? error : new Error('the password worker has failed', { cause: error }),
    );
  }

  #fail(error: Error): void {
    const checks = [...this.#running.values(), ...this.#waiting.takeAll()];
    this.#running.clear();
    for (const check of checks) check.reject(error);
  }
}

/** The source beside this one, or the bundle beside this bundle. */
function workerFile(): URL {
  const name = import.meta.url.endsWith('.ts') ? './password-worker.ts' : './password-worker.js';
  return new URL(name, import.meta.url);
}
