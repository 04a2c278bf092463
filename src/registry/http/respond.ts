import type { Exchange } from './exchange.ts';
import { settleBody } from './unread-body.ts';

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | number>>;
  /** Bytes as they are, or an object for JSON. */
  readonly body?: Uint8Array | object;
}

/** Up to this size a body is worth a copy, because it then leaves with the head in one write. */
export const SMALL_BYTES = 64 * 1024;

/**
 * Sends a whole answer, past the serialization of fastify: the bytes are ready, and a manifest by tag is what
 * nodes ask for most.
 */
export function respond(exchange: Exchange, answer: Answer): void {
  exchange.reply.hijack();
  const settled = settleBody(exchange);
  if (!settled) return send(exchange, answer);
  const kept = copyOf(answer);
  settled.then(() => send(exchange, kept)).catch(() => exchange.response.destroy());
}

/** Whoever has answered may give the buffer of the bytes back. */
function copyOf(answer: Answer): Answer {
  return answer.body instanceof Uint8Array ? { ...answer, body: Uint8Array.from(answer.body) } : answer;
}

function send(exchange: Exchange, { status, headers, body = EMPTY }: Answer): void {
  if (exchange.clientGone) return;
  const bytes = body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body));
  const head = headersOf(exchange, headers);
  if (bytes !== body) head['content-type'] = 'application/json';
  if (status !== 204 && status !== 304) head['content-length'] ??= bytes.length;
  exchange.response.writeHead(status, head);
  sendBody(exchange, exchange.method === 'HEAD' ? EMPTY : bytes);
  // Nearly always the system has taken everything by now, and a timer would cost more than the rest.
  if (exchange.response.socket?.writableLength !== 0) boundIdleTimeToEnd(exchange);
}

/** Until `unboundIdleTime`, a client that takes nothing for `limits.bodyIdleSeconds` loses its connection. */
export function boundIdleTime({ limits, response }: Exchange): void {
  response.socket?.setTimeout(limits.bodyIdleSeconds * 1000);
}

/** The client is not waited for: it has taken everything that there is. */
export function unboundIdleTime({ response }: Exchange): void {
  response.socket?.setTimeout(0);
}

/** For an answer of which everything was handed over. */
function boundIdleTimeToEnd(exchange: Exchange): void {
  boundIdleTime(exchange);
  // First of all, because Node then sets the time until the next request.
  exchange.response.prependOnceListener('finish', () => unboundIdleTime(exchange));
}

const EMPTY = new Uint8Array();

function sendBody(exchange: Exchange, bytes: Uint8Array): void {
  exchange.sentBytes = bytes.length;
  if (bytes.length === 0) exchange.response.end();
  else if (bytes.length > SMALL_BYTES) exchange.response.end(bytes);
  else exchange.response.end(latin1Of(bytes), 'latin1');
}

/** Latin-1 maps every byte to one character and back; Node joins a head only with text. */
function latin1Of({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString('latin1');
}

/** The headers that hooks have set, and these. */
export function headersOf(
  { reply }: Exchange,
  headers: Answer['headers'],
): Record<string, string | number | string[]> {
  const merged: Record<string, string | number | string[]> = {};
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) merged[name] = value;
  }
  return Object.assign(merged, headers);
}
