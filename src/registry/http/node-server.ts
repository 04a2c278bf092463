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

import type { Address } from '../../shared/address.ts';
import { DistributionError } from '../distribution/errors.ts';
import { trackConnections } from './connections.ts';
import { errorBody } from './error-handler.ts';
import { ListenFailed } from './listen-failed.ts';
import type { RefusedHead } from './refused-head.ts';

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

/** What a connection may be. */
export interface ConnectionLimits {
  /** Longest head of a request; of a server that runs it cannot be changed. */
  readonly headBytes: number;
  /** Time from the begin of a connection, or from the first byte of a later request, to the end of the head. */
  readonly headMilliseconds: number;
}

export interface NodeServerOptions {
  /** Serves TLS with it; plain HTTP without. */
  readonly keyPair?: KeyPair;
  readonly connectionLimits: ConnectionLimits;
  /** Called instead of the handler; the answer is sent. */
  readonly onRefusedHead: (head: RefusedHead) => void;
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
  { keyPair, connectionLimits, onRefusedHead }: NodeServerOptions,
): NodeServer {
  const options = { ...OPTIONS, maxHeaderSize: connectionLimits.headBytes };
  const server = keyPair
    ? createHttpsServer({ ...options, ...TLS_OPTIONS, ...secureOptions(keyPair) })
    : createHttpServer(options);
  const connections = trackConnections(server);
  limitConnections(server, connectionLimits);
  for (const event of ['request', 'checkContinue', 'checkExpectation']) {
    server.on(event, (request: IncomingMessage, response: ServerResponse) => {
      connections.begin(request, response, () => handler(request, response));
    });
  }
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (!socket.writable || error.code === 'ECONNRESET' || !connections.canRefuse(socket)) {
      socket.destroy();
      return;
    }
    const fault = clientFault(error.code, { headBytes: connectionLimits.headBytes, server });
    // What breaks in a body is told with the request, and of a client that has sent nothing there is nothing to tell.
    if (connections.isIdle(socket) && socket.bytesRead > 0) onRefusedHead({ status: fault.status, socket });
    answerClientError(fault, socket);
  });
  return server;
}

/** Takes over limits for the next requests, except that of the size of heads. */
export function limitConnections(server: NodeServer, { headMilliseconds }: ConnectionLimits): void {
  server.headersTimeout = headMilliseconds;
}

/** What `setSecureContext` takes, for a server that runs already: all of it, because what is left out is reset. */
export function secureOptions({ certificate, key, minVersion }: KeyPair): SecureContextOptions {
  return { cert: certificate, key, minVersion };
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

/** Answers bytes that are no HTTP request. */
function answerClientError({ status, reason, message }: ClientFault, socket: Socket): void {
  const body = JSON.stringify(errorBody(new DistributionError('UNSUPPORTED', { message, status })));
  const head = [
    `HTTP/1.1 ${status} ${reason}`,
    'Connection: close',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

interface HeadLimits {
  readonly headBytes: number;
  readonly server: Pick<NodeServer, 'headersTimeout'>;
}

interface ClientFault {
  readonly status: number;
  readonly reason: string;
  readonly message: string;
}

function clientFault(code: string | undefined, { headBytes, server }: HeadLimits): ClientFault {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return {
        status: 431,
        reason: 'Request Header Fields Too Large',
        message: `the head of the request is longer than http.maxHeaderBytes: ${headBytes} bytes`,
      };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return {
        status: 408,
        reason: 'Request Timeout',
        message: `the head of the request took longer than limits.headerSeconds: ${server.headersTimeout / 1000} s`,
      };
    case undefined:
    default:
      return { status: 400, reason: 'Bad Request', message: 'this is no valid HTTP request' };
  }
}
