import { once } from 'node:events';
import { Agent, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Ask {
  readonly method?: string;
  readonly body?: Uint8Array;
  readonly headers?: Record<string, string>;
  /** Asked what to do when a connection that was let in ends without an answer; unset repeats the request. */
  readonly onLost?: () => Promise<Reply>;
}

/** How often a client tries to connect before it gives up, and how long it waits in between, in milliseconds. */
const TRIES = 100;
const PAUSE_MS = 50;

/**
 * A client of several replicas, in turn, on connections that are kept. It goes to the next one when it is not let in,
 * as every client does behind a Service.
 */
export class RetryingClient {
  /** Requests that ended without an answer on a connection that had been used before. */
  lost = 0;
  /** Connections that were refused, or reset before they were let in. */
  refused = 0;
  readonly #urls: () => readonly string[];
  readonly #agent = new Agent({ keepAlive: true });
  #next = 0;

  /** @param urls where the replicas are now */
  constructor(urls: () => readonly string[]) {
    this.#urls = urls;
  }

  /** @throws Error when an answer breaks off, or nobody lets it in */
  async ask(target: string, options: Ask = {}): Promise<Reply> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const urls = this.#urls();
      const url = new URL(target, urls[this.#next++ % urls.length]);
      const reply = await this.#try(url, options);
      if (reply === 'lost' && options.onLost) return options.onLost();
      if (typeof reply === 'object') return reply;
      if (tries % urls.length === urls.length - 1) await sleep(PAUSE_MS);
    }
    throw new Error(`nobody answers ${options.method ?? 'GET'} ${target}`);
  }

  close(): void {
    this.#agent.destroy();
  }

  async #try(url: URL, { method = 'GET', body, headers = {} }: Ask): Promise<Reply | 'refused' | 'lost'> {
    const length = body ? { 'content-length': String(body.byteLength) } : {};
    const request = httpRequest(url, { method, agent: this.#agent, headers: { ...headers, ...length } });
    let response: IncomingMessage;
    try {
      request.end(body);
      [response] = (await once(request, 'response')) as [IncomingMessage];
    } catch {
      if (request.reusedSocket) this.lost += 1;
      else this.refused += 1;
      return request.reusedSocket ? 'lost' : 'refused';
    }
    return { status: response.statusCode ?? 0, headers: response.headers, body: await buffer(response) };
  }
}
