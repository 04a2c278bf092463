import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server as HttpServer,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';

import { formatAddress, type Address } from '../../shared/address.ts';
import { AppError, errorCode } from '../../shared/errors.ts';
import { DistributionError } from '../distribution/errors.ts';
import { errorBody } from './error-handler.ts';

export type NodeServer = HttpServer | HttpsServer;

/** What TLS is served with. */
export interface KeyPair {
  /** PEM chain, leaf first. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
  /** Lowest version that clients may speak. */
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
}

/** Uploads take as long as they take; only the head of a request has a limit of time. */
const OPTIONS: ServerOptions = {
  requestTimeout: 0,
  headersTimeout: 30_000,
  keepAliveTimeout: 75_000,
  maxHeaderSize: 32 * 1024,
};

/** A client that connects and does not begin to speak TLS is not waited for longer than this. */
const TLS_OPTIONS = { ALPNProtocols: ['http/1.1'], handshakeTimeout: 10_000 };

/** Every connection, also those without TLS yet, which `closeAllConnections` does not know. */
const sockets = new WeakMap<NodeServer, Set<Socket>>();

/**
 * The server below the application: HTTP/1.1 only, with TLS when there is a key pair.
 *
 * A client that waits for `100 Continue` gets it when its body is wanted, not before it was let in.
 */
export function createNodeServer(
  handler: (request: IncomingMessage, response: ServerResponse) => void,
  tls: KeyPair | undefined,
): NodeServer {
  const server = tls
    ? createHttpsServer({ ...OPTIONS, ...TLS_OPTIONS, ...secureOptions(tls) }, handler)
    : createHttpServer(OPTIONS, handler);
  trackSockets(server);
  server.on('checkContinue', handler);
  server.on('checkExpectation', handler);
  server.on('clientError', answerClientError);
  return server;
}

/** What `setSecureContext` takes, for a server that runs already: all of it, because what is left out is reset. */
export function secureOptions({ certificate, key, minVersion }: KeyPair): SecureContextOptions {
  return { cert: certificate, key, minVersion };
}

/** The address cannot be listened on; the message says what to do. */
export class ListenFailed extends AppError {
  override readonly name = 'ListenFailed';

  constructor(address: Address, cause: unknown) {
    super('LISTEN_FAILED', listenMessage(formatAddress(address), errorCode(cause)), { cause });
  }
}

/**
 * @returns the port in use, also when port 0 was asked for
 * @throws ListenFailed
 */
export async function listen(server: NodeServer, address: Address): Promise<number> {
  const { host, port } = address;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port, ...(host === '' ? {} : { host }) }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (error) {
    throw new ListenFailed(address, error);
  }
  const bound = server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : port;
}

/** How often connections that have become idle are closed while a server drains, in milliseconds. */
const REAP_MS = 100;

/**
 * Stops listening, lets running requests finish for at most `graceMs` and then closes what is left.
 *
 * @returns true when everything had finished in time
 */
export async function drain(server: NodeServer, graceMs: number): Promise<boolean> {
  let inTime = true;
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeIdleConnections();
  const reaper = setInterval(() => server.closeIdleConnections(), REAP_MS);
  const deadline = setTimeout(() => {
    inTime = false;
    server.closeAllConnections();
    for (const socket of sockets.get(server) ?? []) socket.destroy();
  }, graceMs);
  await closed;
  clearInterval(reaper);
  clearTimeout(deadline);
  return inTime;
}

function trackSockets(server: NodeServer): void {
  const open = new Set<Socket>();
  sockets.set(server, open);
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
}

function listenMessage(address: string, code: string | undefined): string {
  switch (code) {
    case 'EADDRINUSE':
      return `cannot listen on ${address}: the port is taken. Stop the program that uses it, or choose another port`;
    case 'EACCES':
      return `cannot listen on ${address}: not permitted. Choose a port above 1023`;
    case 'EADDRNOTAVAIL':
      return `cannot listen on ${address}: this host has no such address`;
    case undefined:
    default:
      return `cannot listen on ${address}: ${code ?? 'unknown error'}`;
  }
}

/** Answers bytes that are no HTTP request. */
function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET' || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const [status, reason] = CLIENT_ERRORS[error.code ?? ''] ?? [400, 'Bad Request'];
  const body = JSON.stringify(errorBody(new DistributionError('UNSUPPORTED', { message: reason, status })));
  const head = [
    `HTTP/1.1 ${status} ${reason}`,
    'Connection: close',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

const CLIENT_ERRORS: Readonly<Record<string, readonly [number, string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout'],
};
