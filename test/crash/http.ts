import { Agent, type IncomingHttpHeaders, request as httpRequest } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Request {
  readonly method: string;
  /** Path, or whole URL. */
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Sends the body in so many pieces with pauses, and without Content-Length. */
  readonly pieces?: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** The connection broke: the server is gone, and what it has done is not known. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

/** Talks to one life of the server. */
export class Connection {
  readonly #url: string;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(url: string) {
    this.#url = url;
  }

  /** @throws NoAnswer */
  async send({ method, target, headers = {}, body, pieces }: Request): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const length =
      body === undefined || pieces !== undefined ? {} : { 'content-length': String(body.length) };
    const request = httpRequest(new URL(target, this.#url), {
      method,
      agent: this.#agent,
      headers: {
        ...(method === 'GET' || method === 'HEAD' ? {} : { 'content-length': '0' }),
        ...headers,
        ...length,
      },
    });
    if (pieces !== undefined) request.removeHeader('content-length');
    request.on('error', (error) => reject(new NoAnswer(`${method} ${target}: ${error.message}`)));
    request.on('response', (response) => {
      buffer(response).then(
        (bytes) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bytes }),
        (error: unknown) => reject(new NoAnswer(`${method} ${target}: ${String(error)}`)),
      );
    });
    if (body === undefined || pieces === undefined) request.end(body);
    else void writeSlowly(request, body, pieces);
    return promise;
  }

  close(): void {
    this.#agent.destroy();
  }
}

async function writeSlowly(
  request: ReturnType<typeof httpRequest>,
  body: Uint8Array,
  pieces: number,
): Promise<void> {
  const size = Math.ceil(body.length / pieces) || 1;
  for (let start = 0; start < body.length && !request.destroyed; start += size) {
    request.write(body.subarray(start, start + size));
    await sleep(5);
  }
  request.end();
}
