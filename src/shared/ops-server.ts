import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

import type { Address } from './address.ts';

/** Outcome of a health check and what is said about it; an object is answered as JSON. */
export interface Check {
  readonly ok: boolean;
  readonly body: string | object;
}

export interface OpsServerOptions {
  readonly listen: Address;
  /** Fails when only a restart helps. */
  livez(): Promise<Check>;
  /** Fails when requests should go elsewhere. `verbose` is true for `/readyz?verbose`. */
  readyz(verbose: boolean): Promise<Check>;
  metrics(): Promise<{ contentType: string; body: string }>;
}

export interface OpsServer {
  /** The port in use, also when port 0 was asked for. */
  readonly port: number;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/**
 * Serves `/livez`, `/readyz` and `/metrics` on a port of its own, so that health and figures are not open to
 * the clients of the main port.
 *
 * @throws the listening error of Node (`EADDRINUSE`, `EACCES`, …)
 */
export async function startOpsServer(options: OpsServerOptions): Promise<OpsServer> {
  const server = createServer((request, response) => {
    void respond(options, request, response);
  });
  await listen(server, options.listen);
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : options.listen.port;
  return { port, close: () => close(server) };
}

async function respond(
  options: OpsServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const answer = await answerFor(options, request).catch(() => text(500, 'internal error'));
  response.writeHead(answer.status, {
    'content-type': answer.contentType,
    'content-length': Buffer.byteLength(answer.body),
    'cache-control': 'no-store',
  });
  response.end(request.method === 'HEAD' ? undefined : answer.body);
}

async function answerFor(options: OpsServerOptions, request: IncomingMessage): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return text(405, 'method not allowed');
  const [path = '/', query] = (request.url ?? '/').split('?', 2);
  switch (path) {
    case '/livez':
      return checked(await options.livez());
    case '/readyz':
      return checked(await options.readyz(new URLSearchParams(query).has('verbose')));
    case '/metrics':
      return { status: 200, ...(await options.metrics()) };
    default:
      return text(404, 'not found');
  }
}

function checked({ ok, body }: Check): Answer {
  const status = ok ? 200 : 503;
  if (typeof body === 'string') return text(status, body);
  return { status, contentType: 'application/json', body: `${JSON.stringify(body)}\n` };
}

function text(status: number, body: string): Answer {
  return { status, contentType: 'text/plain; charset=utf-8', body: `${body}\n` };
}

function listen(server: Server, { host, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, ...(host === '' ? {} : { host }) }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
