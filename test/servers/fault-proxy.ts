import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer, request as httpsRequest, type Server } from 'node:https';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { createAuthority } from '../../src/operator/pki/authority.ts';
import { issueCertificate } from '../../src/operator/pki/certificate.ts';

/** An API server and a client certificate that it accepts, PEM. */
export interface ProxyTarget {
  readonly url: string;
  readonly ca: string;
  readonly adminCert: string;
  readonly adminKey: string;
}

/** What happens to a request instead of, or while, it is passed on. */
export type Fault =
  /** Answers by itself. */
  | {
      readonly type: 'answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: object;
    }
  /** Resets the connection without an answer. */
  | { readonly type: 'reset' }
  /** Passes the answer on up to so many bytes, then resets the connection. */
  | { readonly type: 'cut'; readonly afterBytes: number }
  /** Waits before the request is passed on. */
  | { readonly type: 'delay'; readonly ms: number }
  /** Takes the request and never answers. */
  | { readonly type: 'hang' }
  /** Passes the request on and throws the answer away: it had its effect, and the client cannot know. */
  | { readonly type: 'lose' }
  /** Passes the head of the answer on and this text as its body, as for an event of a watch. */
  | { readonly type: 'body'; readonly text: string };

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
}

export type Matcher = (request: SeenRequest) => boolean;

interface Rule {
  readonly matches: Matcher;
  readonly fault: Fault;
  left: number;
}

/**
 * A TLS proxy in front of a real API server that fails where a test says so. Clients need no credentials.
 */
export class FaultProxy {
  readonly #target: ProxyTarget;
  readonly #server: Server;
  readonly #agent: Agent;
  readonly #sockets = new Set<Socket>();
  readonly #rules: Rule[] = [];
  /** CA of its own certificate, PEM. */
  readonly ca: string;
  /** Every request so far. */
  readonly requests: SeenRequest[] = [];
  /** Connections that were accepted so far. */
  connections = 0;
  #refusing = false;

  private constructor(target: ProxyTarget, tls: { ca: string; cert: string; key: string }) {
    this.#target = target;
    this.ca = tls.ca;
    const { ca, adminCert: cert, adminKey: key } = target;
    this.#agent = new Agent({ keepAlive: true, ca, cert, key });
    this.#server = createServer(
      { cert: tls.cert, key: tls.key, keepAliveTimeout: 60_000 },
      (request, response) => {
        void this.#handle(request, response);
      },
    );
    this.#server.on('connection', (socket: Socket) => this.#connected(socket));
  }

  static async start(target: ProxyTarget): Promise<FaultProxy> {
    const options = { now: new Date(), randomBytes: (size: number) => randomBytes(size) };
    const authority = await createAuthority('fault proxy', options);
    const leaf = await issueCertificate(
      authority,
      { commonName: 'localhost', names: ['127.0.0.1'] },
      options,
    );
    const tls = { ca: authority.certificate, cert: leaf.certificate, key: leaf.key };
    const proxy = new FaultProxy(target, tls);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy does not listen');
    return `https://127.0.0.1:${address.port}`;
  }

  /** Makes the next requests that match fail, by default one. Rules are used up in the order they were added. */
  inject(matches: Matcher, fault: Fault, times = 1): void {
    this.#rules.push({ matches, fault, left: times });
  }

  /** Connections that are open now. */
  get openConnections(): number {
    return this.#sockets.size;
  }

  /** Faults that were added and have not happened. */
  get pending(): number {
    return this.#rules.reduce((sum, { left }) => sum + left, 0);
  }

  clear(): void {
    this.#rules.length = 0;
  }

  /** Resets every open connection. */
  resetAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** While refusing, open connections are reset and new ones as well, as when the API server is down. */
  refuse(refusing: boolean): void {
    this.#refusing = refusing;
    if (refusing) this.resetAll();
  }

  /** Requests so far that match. */
  seen(matches: Matcher): number {
    return this.requests.filter((request) => matches(request)).length;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#agent.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #connected(socket: Socket): void {
    socket.on('error', () => undefined);
    if (this.#refusing) {
      socket.resetAndDestroy();
      return;
    }
    this.connections += 1;
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const seen = { method: request.method ?? '', path: request.url ?? '', headers: request.headers };
    this.requests.push(seen);
    response.on('error', () => undefined);
    const body = await readBody(request).catch(() => undefined);
    if (body === undefined) return;
    const fault = this.#takeFault(seen);
    if (fault?.type === 'delay') await sleep(fault.ms);
    if (fault?.type === 'reset') this.#reset(request);
    else if (fault?.type === 'answer') answer(response, fault);
    else if (fault?.type !== 'hang') this.#forward(request, response, { body, fault });
  }

  #takeFault(seen: SeenRequest): Fault | undefined {
    const rule = this.#rules.find(({ matches, left }) => left > 0 && matches(seen));
    if (rule) rule.left -= 1;
    return rule?.fault;
  }

  #forward(
    request: IncomingMessage,
    response: ServerResponse,
    { body, fault }: { body: Buffer; fault: Fault | undefined },
  ): void {
    const { hostname, port } = new URL(this.#target.url);
    const { authorization: _ignored, host: _replaced, ...headers } = request.headers;
    const upstream = httpsRequest(
      { hostname, port, method: request.method, path: request.url, headers, agent: this.#agent },
      (received) => pass(received, { response, fault, reset: () => this.#reset(request) }),
    );
    upstream.on('error', () => this.#reset(request));
    response.on('close', () => {
      if (!response.writableFinished) upstream.destroy();
    });
    upstream.end(body);
  }

  /** TLS sockets cannot be reset; the one below can. */
  #reset({ socket }: IncomingMessage): void {
    for (const raw of this.#sockets) if (raw.remotePort === socket.remotePort) raw.resetAndDestroy();
  }
}

interface Passing {
  readonly response: ServerResponse;
  readonly fault: Fault | undefined;
  readonly reset: () => void;
}

function pass(received: IncomingMessage, { response, fault, reset }: Passing): void {
  received.on('error', reset);
  if (fault?.type === 'lose') {
    received.resume();
    received.on('end', reset);
    return;
  }
  if (fault?.type === 'body') {
    response.writeHead(received.statusCode ?? 502, { 'content-type': 'application/json' });
    response.end(fault.text);
    received.destroy();
    return;
  }
  response.writeHead(received.statusCode ?? 502, received.headers);
  response.flushHeaders();
  let left = fault?.type === 'cut' ? fault.afterBytes : Infinity;
  received.on('data', (chunk: Buffer) => {
    if (chunk.length < left) {
      left -= chunk.length;
      response.write(chunk);
      return;
    }
    response.write(chunk.subarray(0, left), reset);
    left = 0;
  });
  received.on('end', () => {
    if (left > 0) response.end();
  });
}

function answer(
  response: ServerResponse,
  { status, headers, body }: Extract<Fault, { type: 'answer' }>,
): void {
  const text = body === undefined ? '' : JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(text);
}

/** The body of a refusal as the API server writes it. */
export function statusBody(code: number, reason: string, message = reason): object {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code };
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) if (Buffer.isBuffer(chunk)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
