import {
  Agent,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';

/** Whether the request on which a process dies reaches the server. */
export type LastRequest = 'lost' | 'received';

export interface DyingProxy {
  /** URL of the proxy. */
  readonly endpoint: string;
  /** Requests so far. */
  readonly requests: number;
  /** Resolves when nothing passes any more. */
  readonly dead: Promise<void>;
  stop(): Promise<void>;
}

/**
 * An HTTP proxy that takes the place of a process that dies: from its n-th request on (from 1) nothing passes, and
 * no answer comes back.
 */
export async function startDyingProxy(
  target: string,
  { at, last }: { readonly at: number; readonly last: LastRequest },
): Promise<DyingProxy> {
  const agent = new Agent({ keepAlive: true });
  const state = { requests: 0 };
  const { promise: dead, resolve: die } = Promise.withResolvers<void>();
  const server = createServer((request, response) => {
    const number = ++state.requests;
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    if (number > at || (number === at && last === 'lost')) {
      die();
      request.socket.destroy();
      return;
    }
    forward(request, { target, agent }, (answer) => {
      if (number < at) {
        passOn(answer, response);
        return;
      }
      answer.resume();
      answer.on('close', () => {
        die();
        request.socket.destroy();
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP port was assigned');
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    dead,
    get requests() {
      return state.requests;
    },
    async stop() {
      agent.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Headers stay as they are: the name of the host is signed. */
function forward(
  request: IncomingMessage,
  { target, agent }: { readonly target: string; readonly agent: Agent },
  answered: (answer: IncomingMessage) => void,
): void {
  const { hostname, port } = new URL(target);
  const { method, url: path, headers } = request;
  const upstream = httpRequest({ hostname, port, method, path, headers, agent }, answered);
  upstream.on('error', () => request.socket.destroy());
  request.pipe(upstream);
}

function passOn(answer: IncomingMessage, response: ServerResponse): void {
  response.writeHead(answer.statusCode ?? 502, answer.headers);
  answer.on('error', () => response.destroy());
  answer.pipe(response);
}
