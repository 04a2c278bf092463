import type { IncomingMessage, ServerResponse } from 'node:http';

import type { FastifyReply, FastifyRequest } from 'fastify';

import type { LimitsConfig } from '../../api/registry-config.ts';
import type { Action } from '../auth/types.ts';
import type { Refusal } from '../metrics.ts';
import { clientKey } from './client-key.ts';
import type { LargeBodies } from './large-bodies.ts';
import { shownPath } from './path.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the first hook; see {@link exchangeOf}. */
    exchange: Exchange | undefined;
  }
}

/** A request that this server knows how to answer. */
export interface Match {
  /** Name of the endpoint in the metrics. */
  readonly label: string;
  /** What the caller must be allowed to do. */
  readonly action: Action;
  /** Answers it. */
  run(exchange: Exchange): Promise<void>;
}

/** What an exchange begins with. */
export type ExchangeStart = Pick<Exchange, 'id' | 'startedAt' | 'limits' | 'bodies'>;

/** One request and its answer, as the hooks and routes of this folder see them. */
export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly reply: FastifyReply;
  /** For the log and the header `X-Request-Id`. */
  readonly id: string;
  /** Milliseconds on the monotonic clock. */
  readonly startedAt: number;
  /** As they were when the request came. */
  readonly limits: LimitsConfig;
  /** Memory for bodies, of all requests together. */
  readonly bodies: LargeBodies;
  /**
   * Address of the client: that of the connection, unless a trusted proxy has told another one. Kept because the
   * socket may be gone when it is asked for; empty when it was so from the start.
   */
  clientAddress: string;
  /** The Host that a trusted proxy was asked for. */
  forwardedHost: string | undefined;
  /** What goes before every path in Location and Link; see `locationOf`. */
  baseUrl = '';
  /** What the request was found to be; undefined when it is nothing that this server knows. */
  match: Match | undefined;
  /** Name of a user whose password was right. */
  user: string | undefined;
  /** Bytes of the body of the request that were read. */
  receivedBytes = 0;
  /** Bytes of the body of the answer that were handed to the connection. */
  sentBytes = 0;
  /** What the answer failed with after its head was sent. */
  failure: unknown;
  /** The limit that it was refused for. */
  refusal: Refusal | undefined;
  #query: URLSearchParams | undefined;
  #abort: AbortController | undefined;
  #continued = false;

  constructor(request: FastifyRequest, reply: FastifyReply, start: ExchangeStart) {
    this.request = request.raw;
    this.response = reply.raw;
    this.reply = reply;
    this.id = start.id;
    this.startedAt = start.startedAt;
    this.limits = start.limits;
    this.bodies = start.bodies;
    this.clientAddress = request.raw.socket?.remoteAddress ?? '';
  }

  /** Who it counts for; see `client-key.ts`. */
  get clientKey(): string {
    return clientKey(this.user, this.clientAddress);
  }

  get method(): string {
    return this.request.method ?? 'GET';
  }

  /** Path of the request as it was sent; fit for the log. */
  get path(): string {
    return shownPath(this.request.url ?? '/');
  }

  get query(): URLSearchParams {
    const url = this.request.url ?? '/';
    const start = url.indexOf('?');
    this.#query ??= new URLSearchParams(start === -1 ? '' : url.slice(start + 1));
    return this.#query;
  }

  /** True when nobody is there to read an answer. */
  get clientGone(): boolean {
    return this.response.destroyed && !this.response.writableFinished;
  }

  /** Aborted when the client goes away before the answer has ended. */
  get signal(): AbortSignal {
    if (!this.#abort) {
      const abort = new AbortController();
      this.#abort = abort;
      if (this.clientGone) abort.abort(new ClientGone());
      this.response.once('close', () => {
        if (!this.response.writableFinished) abort.abort(new ClientGone());
      });
    }
    return this.#abort.signal;
  }

  /** An HTTP/1.0 client does not know of it, whatever it sends (RFC 9110 §10.1.1). */
  get expectsContinue(): boolean {
    const { headers, httpVersionMinor } = this.request;
    if (headers.expect === undefined || httpVersionMinor === 0 || this.#continued) return false;
    return /(?:^|\W)100-continue(?:$|\W)/i.test(headers.expect);
  }

  /** Tells a client that waits for it (`Expect: 100-continue`) to send the body. */
  acceptBody(): void {
    if (!this.expectsContinue) return;
    this.#continued = true;
    this.response.writeContinue();
  }
}

/** Why work for a request stops when its client has gone. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone';

  constructor(options?: ErrorOptions) {
    super('the client has closed the connection', options);
  }
}

/** @throws Error when the first hook has not run, which is a fault of this program */
export function exchangeOf(request: FastifyRequest): Exchange {
  if (!request.exchange) throw new Error('the request has no exchange');
  return request.exchange;
}
