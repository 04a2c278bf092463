import type { Worker } from 'node:cluster';

import { errorMessage } from '../../shared/errors.ts';
import type { ServerReport } from '../server.ts';
import { type Answer, isNotice, type Notice, type Order, type Question } from './messages.ts';
import type { MetricSnapshot } from './metric-sums.ts';

/** What a process says that nobody has asked for. */
export type News = Exclude<Notice, { type: 'answer' }>;

export interface ServingProcessEvents {
  news(notice: News): void;
  /** A piece of its log. */
  output(chunk: Uint8Array): void;
}

/** One process that serves, as its supervisor sees it. */
export class ServingProcess {
  /** From 1 on; a process that replaces another one has its number. */
  readonly number: number;
  /** Resolves with the reason when it has ended and everything that it said was heard. */
  readonly ended: Promise<string>;
  readonly #worker: Worker;
  readonly #questions = new Map<number, (answer: Answer | undefined) => void>();
  #lastQuestion = 0;

  constructor(number: number, worker: Worker, events: ServingProcessEvents) {
    this.number = number;
    this.#worker = worker;
    this.ended = this.#untilEnded();
    worker.on('message', (message: unknown) => {
      if (!isNotice(message)) return;
      if (message.type !== 'answer') return events.news(message);
      this.#questions.get(message.id)?.(message);
    });
    worker.process.stdout?.on('data', (chunk: Buffer) => events.output(chunk));
  }

  get pid(): number | undefined {
    return this.#worker.process.pid;
  }

  tell(order: Order): void {
    // A process that has just ended is told nothing; that it has ended is heard soon.
    if (this.#worker.isConnected()) this.#worker.send(order, undefined, () => undefined);
  }

  /** Whether it gets to answer within `timeoutMs`. */
  async answers(timeoutMs: number): Promise<boolean> {
    return (await this.#ask('beat', timeoutMs)) !== undefined;
  }

  /** @returns undefined when there is no answer within `timeoutMs` */
  async report(timeoutMs: number): Promise<ServerReport | undefined> {
    const answer = await this.#ask('report', timeoutMs);
    return answer?.question === 'report' ? answer.report : undefined;
  }

  /** @returns undefined when there is no answer within `timeoutMs` */
  async metrics(timeoutMs: number): Promise<MetricSnapshot | undefined> {
    const answer = await this.#ask('metrics', timeoutMs);
    return answer?.question === 'metrics' ? answer.metrics : undefined;
  }

  kill(): void {
    this.#worker.process.kill('SIGKILL');
  }

  async #untilEnded(): Promise<string> {
    const reason = await endOf(this.#worker);
    for (const giveUp of this.#questions.values()) giveUp(undefined);
    return reason;
  }

  async #ask(question: Question, timeoutMs: number): Promise<Answer | undefined> {
    const id = ++this.#lastQuestion;
    const { promise, resolve } = Promise.withResolvers<Answer | undefined>();
    const timer = setTimeout(() => resolve(undefined), timeoutMs);
    this.#questions.set(id, resolve);
    this.tell({ type: 'ask', id, question });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#questions.delete(id);
    }
  }
}

function endOf(worker: Worker): Promise<string> {
  const child = worker.process;
  const { promise, resolve } = Promise.withResolvers<string>();
  let reason: string | undefined;
  const look = (): void => {
    if (reason !== undefined && !child.connected) resolve(reason);
  };
  worker.on('error', (error) => {
    // One that could not be started has no other end.
    if (child.pid === undefined) resolve(errorMessage(error));
  });
  child.once('disconnect', look);
  child.once('close', (code, signal) => {
    reason = signal === null ? `exit code ${String(code)}` : `signal ${signal}`;
    look();
  });
  return promise;
}
