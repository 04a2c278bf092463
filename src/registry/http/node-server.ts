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
import { trackConnections } from './connections.ts';
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

/** What the head of a request may be. */
export interface HeadLimits {
  readonly bytes: number;
  /** Time from the begin of a connection, or from the first byte of a later request, to the end of the head. */
  readonly milliseconds: number;
}

/** Bodies have limits of their own (`paced-body.ts`). */
const OPTIONS: ServerOptions = {
  requestTimeout: 0,
  keepAliveTimeout: 75_000,
  // How often Node looks for heads that take too long.
  connectionsCheckingInterval: 1000,
};

/** A client that connects and does not begin to speak TLS is not waited for longer than this. */
const TLS_OPTIONS = { ALPNProtocols: ['http/1.1'], handshakeTimeout: 10_000 };

/**
 * The server below the application: HTTP/1.1 only, with TLS when there is a key pair.
 *
 * A client that waits for `100 Continue` gets it when its body is wanted, not before it was let in.
 */
export function createNodeServer(
  handler: (request: IncomingMessage, response: ServerResponse) => void,
  { keyPair, heads }: { readonly keyPair?: KeyPair; readonly heads: HeadLimits },
): NodeServer {
  const options = { ...OPTIONS, maxHeaderSize: heads.bytes, headersTimeout: heads.milliseconds };
  const server = keyPair
    ? createHttpsServer({ ...options, ...TLS_OPTIONS, ...secureOptions(keyPair) })
    : createHttpServer(options);
  const connections = trackConnections(server);
  for (const event of ['request', 'checkContinue', 'checkExpectation']) {
    server.on(event, (request: IncomingMessage, response: ServerResponse) => {
      connections.begin(request, response);
      handler(request, response);
    });
  }
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
