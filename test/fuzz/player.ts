import {
  AnswerLate,
  AnswerMalformed,
  type RawAnswer,
  type RawConnection,
} from '../integration/registry/raw-http.ts';
import { ask, endangersKept, throwAt } from './delivery.ts';
import type { Ledger } from './ledger.ts';
import { mutateBytes, mutateRequest } from './mutations.ts';
import type { Random } from './random.ts';
import { encodeRequest, type FuzzRequest } from './request.ts';
import type { Results } from './results.ts';
import { SCENARIOS, type Stage } from './scenarios.ts';

export interface PlayerOptions {
  readonly random: Random;
  readonly connect: () => Promise<RawConnection>;
  readonly results: Results;
  readonly ledger: Ledger;
  /** Value of `Authorization`, where the server wants one. */
  readonly authorization?: string;
}

/** One client: plays scenario after scenario, and changes some of what it sends. */
export class Player implements Stage {
  readonly random: Random;
  readonly #options: PlayerOptions;
  /** Kept as long as only whole requests went over it. */
  #connection: RawConnection | undefined;
  /** How likely a request of the present scenario is changed. */
  #recklessness = 0;
  /** True as long as everything in the present scenario went out as it should. */
  #strict = true;

  constructor(options: PlayerOptions) {
    this.#options = options;
    this.random = options.random;
  }

  async play(): Promise<void> {
    this.#recklessness = this.random.pick([0, 0.3, 0.3, 0.8]);
    this.#strict = true;
    if (this.random.chance(0.05)) await this.#throw(this.random.bytes(this.random.between(1, 300)));
    else await this.random.pick(SCENARIOS)(this);
  }

  close(): void {
    this.#connection?.destroy();
    this.#connection = undefined;
  }

  async send(request: FuzzRequest, expected: readonly number[] = []): Promise<RawAnswer | undefined> {
    const whole = this.#complete(request);
    if (!this.random.chance(this.#recklessness)) return this.#ask(whole, this.#strict ? expected : []);
    this.#strict = false;
    const changed = encodeRequest(this.random.chance(0.8) ? mutateRequest(whole, this.random) : whole);
    const bytes = this.random.chance(0.3) ? mutateBytes(changed, this.random) : changed;
    await this.#throw(this.random.chance(0.1) ? Buffer.concat([bytes, encodeRequest(whole), bytes]) : bytes);
    return undefined;
  }

  #complete(request: FuzzRequest): FuzzRequest {
    const { authorization } = this.#options;
    const headers = [['Host', 'registry.example.com'] as const, ...request.headers];
    return {
      ...request,
      headers: authorization === undefined ? headers : [...headers, ['Authorization', authorization]],
    };
  }

  async #ask(request: FuzzRequest, expected: readonly number[]): Promise<RawAnswer | undefined> {
    const { results, ledger } = this.#options;
    const bytes = encodeRequest(request);
    try {
      this.#connection = this.#connection?.ended === false ? this.#connection : await this.#options.connect();
      const answer = await ask(this.#connection, bytes, request.method);
      if (!answer) return this.#unanswered(bytes, expected);
      ledger.note(answer);
      results.answered(bytes, answer, expected);
      if (answer.headers.get('connection') === 'close') this.close();
      return answer.status < 400 ? answer : undefined;
    } catch (error) {
      this.close();
      if (!(error instanceof AnswerLate) && !(error instanceof AnswerMalformed)) throw error;
      results.failed(`${error.name}: ${error.message}`, bytes);
      return undefined;
    }
  }

  /** A connection that was kept may have been closed in the very moment in which it was used again. */
  #unanswered(bytes: Buffer, expected: readonly number[]): undefined {
    this.close();
    this.#strict = false;
    this.#options.results.unanswered(bytes, expected.length > 0);
  }

  async #throw(bytes: Buffer): Promise<void> {
    if (endangersKept(bytes)) return;
    const connection = await this.#options.connect();
    const echo = await throwAt(connection, bytes, this.random);
    connection.destroy();
    this.#options.results.echoed(bytes, echo);
  }
}
