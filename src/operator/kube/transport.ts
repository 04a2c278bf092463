import { createHash } from 'node:crypto';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';

import type { KubeConfig } from '@kubernetes/client-node';

import { AppError, errorCode, errorMessage } from '../../shared/errors.ts';
import { TransportError } from './errors.ts';

/** The part of client-node's KubeConfig that is used: where the API server is, and our credentials. */
export type ApiServerConfig = Pick<KubeConfig, 'applyToHTTPSOptions' | 'getCurrentCluster'>;

export interface TransportOptions {
  readonly config: ApiServerConfig;
  readonly userAgent: string;
}

/** One HTTP request to the API server. */
export interface HttpCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With the query. */
  readonly path: string;
  readonly accept?: string;
  readonly contentType?: string;
  readonly body?: string;
  /** Milliseconds until the answer must be complete; of a stream, until it must have begun. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Called at the last moment before the request is written; what it throws cancels the request. */
  readonly beforeSend?: (() => void) | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

export interface HttpStream {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: AsyncIterable<Buffer>;
  /** Ends the request and closes its connection. */
  close(): void;
}

/** Above this an answer is refused, so that one list cannot exhaust the memory. */
const MAX_ANSWER_BYTES = 128 * 1024 * 1024;
const KEEP_ALIVE_MS = 30_000;

/**
 * HTTP to the API server over connections that are kept and shared: one Agent for each pair of trusted CA and
 * client certificate. Credentials are applied to each request, so that a rotated token or certificate counts at
 * once. (`KubeConfig` makes an Agent for every call of its own clients, which costs a TLS handshake per call.)
 */
export class Transport {
  readonly #config: ApiServerConfig;
  readonly #userAgent: string;
  #agent: { readonly hash: string; readonly agent: Agent | HttpAgent } | undefined;

  constructor({ config, userAgent }: TransportOptions) {
    this.#config = config;
    this.#userAgent = userAgent;
  }

  /**
   * Sends a request and reads the whole answer.
   *
   * @throws TransportError when there is no complete answer; the reason of the signal when it is aborted
   */
  async send(call: HttpCall): Promise<HttpAnswer> {
    const exchange = new Exchange(call);
    try {
      const response = await this.#open(call, exchange);
      const text = await readText(response);
      return { status: response.statusCode ?? 0, headers: response.headers, text };
    } catch (error) {
      throw this.#failure(error, exchange);
    } finally {
      exchange.finish();
    }
  }

  /**
   * Sends a request and hands over the answer while it arrives. The body throws as {@link send} does; the caller
   * closes the stream.
   */
  async stream(call: HttpCall): Promise<HttpStream> {
    const exchange = new Exchange(call);
    try {
      const response = await this.#open(call, exchange);
      exchange.stopTimer();
      return {
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: this.#body(response, exchange),
        close: () => {
          exchange.finish();
          response.destroy();
        },
      };
    } catch (error) {
      exchange.finish();
      throw this.#failure(error, exchange);
    }
  }

  /** Closes every connection. */
  close(): void {
    this.#agent?.agent.destroy();
    this.#agent = undefined;
  }

  async *#body(response: IncomingMessage, exchange: Exchange): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of response) if (Buffer.isBuffer(chunk)) yield chunk;
    } catch (error) {
      throw this.#failure(error, exchange);
    } finally {
      exchange.finish();
    }
  }

  async #open(call: HttpCall, exchange: Exchange): Promise<IncomingMessage> {
    try {
      return await this.#attempt(call, exchange);
    } catch (error) {
      if (call.method !== 'GET' || !exchange.staleConnection || exchange.signal.aborted) throw error;
      // The API server closed an idle connection just when it was used again.
      return this.#attempt(call, exchange);
    }
  }

  async #attempt(call: HttpCall, exchange: Exchange): Promise<IncomingMessage> {
    const { options, secure } = await this.#requestOptions(call);
    exchange.signal.throwIfAborted();
    call.beforeSend?.();
    const request = (secure ? httpsRequest : httpRequest)({ ...options, signal: exchange.signal });
    exchange.staleConnection = false;
    return new Promise((resolve, reject) => {
      request.on('response', resolve);
      request.on('error', (error) => {
        exchange.staleConnection = request.reusedSocket && errorCode(error) === 'ECONNRESET';
        reject(error);
      });
      request.end(call.body);
    });
  }

  async #requestOptions(call: HttpCall): Promise<{ options: RequestOptions; secure: boolean }> {
    const server = this.#config.getCurrentCluster()?.server;
    if (server === undefined) throw new TransportError('the kubeconfig names no cluster');
    const base = new URL(server);
    const options: RequestOptions = {
      method: call.method,
      protocol: base.protocol,
      hostname: base.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: base.port === '' ? undefined : base.port,
      path: base.pathname.replace(/\/$/, '') + call.path,
      headers: this.#headers(call),
    };
    await this.#config.applyToHTTPSOptions(options);
    const secure = base.protocol === 'https:';
    // A proxy has an Agent of its own, which KubeConfig makes once.
    if (this.#config.getCurrentCluster()?.proxyUrl === undefined)
      options.agent = this.#sharedAgent(options, secure);
    return { options, secure };
  }

  #headers(call: HttpCall): Record<string, string | number> {
    const body =
      call.body === undefined
        ? {}
        : {
            'content-type': call.contentType ?? 'application/json',
            'content-length': Buffer.byteLength(call.body),
          };
    return { accept: call.accept ?? 'application/json', 'user-agent': this.#userAgent, ...body };
  }

  #sharedAgent(options: RequestOptions, secure: boolean): Agent | HttpAgent {
    const hash = identityOf(options);
    if (this.#agent?.hash === hash) return this.#agent.agent;
    if (this.#agent) retire(this.#agent.agent);
    const settings = { keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS, scheduling: 'lifo' as const };
    const agent = secure ? new Agent(settings) : new HttpAgent(settings);
    this.#agent = { hash, agent };
    return agent;
  }

  #failure(error: unknown, exchange: Exchange): unknown {
    const reason = exchange.abortedByCaller();
    if (reason !== undefined) return reason;
    if (error instanceof AppError) return error;
    if (!exchange.timedOut)
      return new TransportError(`no answer of the API server: ${errorMessage(error)}`, error);
    // The other idle connections lead to the same silent peer.
    if (this.#agent) closeIdle(this.#agent.agent);
    return new TransportError(`no answer within ${exchange.timeoutMs} ms`, error);
  }
}

/** The life of one request: its time limit and the caller's signal, and which of them ended it. */
class Exchange {
  readonly timeoutMs: number;
  /** Set when the last attempt failed because a kept connection had been closed. */
  staleConnection = false;
  timedOut = false;
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #onAbort = (): void => this.#controller.abort(this.#caller?.reason);

  constructor({ timeoutMs, signal }: HttpCall) {
    this.timeoutMs = timeoutMs;
    this.#caller = signal;
    this.#timer = setTimeout(() => {
      this.timedOut = true;
      this.#controller.abort();
    }, timeoutMs);
    if (signal?.aborted === true) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abortedByCaller(): unknown {
    return this.#caller?.aborted === true ? this.#caller.reason : undefined;
  }

  stopTimer(): void {
    clearTimeout(this.#timer);
  }

  finish(): void {
    this.stopTimer();
    this.#caller?.removeEventListener('abort', this.#onAbort);
  }
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) continue;
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES)
      throw new TransportError(`the answer is larger than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** What makes two TLS connections differ; a change of one of them needs new connections. */
function identityOf({ ca, cert, key, servername, rejectUnauthorized }: RequestOptions): string {
  const hash = createHash('sha256');
  for (const part of [ca, cert, key].flat())
    hash.update(typeof part === 'string' || Buffer.isBuffer(part) ? part : '').update('\0');
  return hash.update(`${servername} ${rejectUnauthorized}`).digest('hex');
}

function closeIdle(agent: Agent | HttpAgent): void {
  for (const sockets of Object.values(agent.freeSockets))
    for (const socket of sockets ?? []) socket.destroy();
}

/** Lets running requests of an Agent end, then closes their connections. */
function retire(agent: Agent | HttpAgent): void {
  closeIdle(agent);
  agent.on('free', (socket: { destroy(): void }) => socket.destroy());
}
