import type { Exchange } from './exchange.ts';

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | number>>;
  /** Bytes as they are, or an object for JSON. */
  readonly body?: Uint8Array | object;
}

/** Sends a whole answer; fastify leaves the body of a HEAD out and keeps its Content-Length. */
export function respond({ reply }: Exchange, { status, headers = {}, body }: Answer): void {
  reply.code(status).headers({ ...headers });
  if (body === undefined || body instanceof Uint8Array) {
    void reply.send(body);
    return;
  }
  void reply.header('content-type', 'application/json').send(JSON.stringify(body));
}
