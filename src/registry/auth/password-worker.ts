import { parentPort } from 'node:worker_threads';

import { compareSync } from 'bcryptjs';

/** One password to check; `hash` is a bcrypt hash. */
export interface PasswordQuestion {
  readonly id: number;
  readonly password: string;
  readonly hash: string;
}

export interface PasswordAnswer {
  readonly id: number;
  readonly matches: boolean;
}

/** Checks passwords on a thread of its own: one check takes tens of milliseconds of CPU. */
parentPort?.on('message', ({ id, password, hash }: PasswordQuestion) => {
  const answer: PasswordAnswer = { id, matches: compareSync(password, hash) };
  parentPort?.postMessage(answer, []);
});
