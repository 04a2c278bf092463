import { gzipSync } from 'node:zlib';

import type { RawAnswer } from '../integration/registry/raw-http.ts';
import type { Echo } from './delivery.ts';

/** Something that must not happen, and the bytes that made it happen. */
export interface Failure {
  readonly what: string;
  /** What was sent last on the connection. */
  readonly bytes: Buffer;
}

/** Answers that say that a limit is reached. */
const LIMITS: ReadonlySet<number> = new Set([429, 503, 507]);
/** A kept connection may end while the next request is on its way; more often than this is no accident. */
const MAX_UNANSWERED_SHARE = 0.01;

/** What has happened so far. */
export class Results {
  readonly failures: Failure[] = [];
  readonly statuses = new Map<number, number>();
  requests = 0;
  /** Whole requests without an answer. */
  #unanswered = 0;
  #lastUnanswered: Buffer | undefined;

  /** Answers because of a limit. */
  get limited(): number {
    return [...LIMITS].reduce((sum, status) => sum + (this.statuses.get(status) ?? 0), 0);
  }

  answered(bytes: Buffer, answer: RawAnswer, expected: readonly number[]): void {
    this.#count(bytes, answer.status);
    const isUnexpected =
      expected.length > 0 && !expected.includes(answer.status) && !LIMITS.has(answer.status);
    if (!isUnexpected) return;
    const body = answer.body.toString('utf8', 0, 300);
    this.failed(`${answer.status} instead of ${expected.join(' or ')}: ${body}`, bytes);
  }

  echoed(bytes: Buffer, { statuses, malformed }: Echo): void {
    this.requests += statuses.length === 0 ? 1 : 0;
    for (const status of statuses) this.#count(bytes, status);
    if (malformed !== undefined) this.failed(`no answer of HTTP: ${malformed}`, bytes);
  }

  unanswered(bytes: Buffer, wasExpected: boolean): void {
    this.requests += 1;
    if (!wasExpected) return;
    this.#unanswered += 1;
    this.#lastUnanswered = bytes;
  }

  failed(what: string, bytes: Buffer = Buffer.alloc(0)): void {
    this.failures.push({ what, bytes });
  }

  /** What can only be told at the end. */
  finish(): void {
    if (this.#unanswered <= 10 + this.requests * MAX_UNANSWERED_SHARE) return;
    this.failed(`${this.#unanswered} whole requests got no answer`, this.#lastUnanswered);
  }

  #count(bytes: Buffer, status: number): void {
    this.requests += 1;
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
    if (status >= 500 && !LIMITS.has(status)) this.failed(`status ${status}`, bytes);
  }
}

/** Text of a failure: what was sent as far as it can be read, and all of it, so that a test can send it again. */
export function reproducer({ what, bytes }: Failure): string {
  const readable = JSON.stringify(bytes.toString('latin1', 0, 1000));
  return `${what}\n  ${bytes.length} bytes, as text: ${readable}\n  in base64 after gzip: ${gzipSync(bytes).toString('base64')}\n`;
}
