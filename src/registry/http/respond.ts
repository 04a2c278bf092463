import { noMemory } from './body-memory.ts';
import type { Exchange } from './exchange.ts';
import { SMALL_BYTES } from './large-bodies.ts';
import { settleBody } from './unread-body.ts';

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | number>>;
  /** Bytes as they are, or an object for JSON. */
  readonly body?: Uint8Array | object;
}

/**
 * Sends a whole answer, past the serialization of fastify: the bytes are ready, and a manifest by tag is what
 * nodes ask for most.
 *
 * @throws DistributionError UNAVAILABLE 503 when there is no memory for a long body
 */
export function respond(exchange: Exchange, answer: Answer): void {
  const ready = readyAnswer(answer);
  if (ready.bytes.length > SMALL_BYTES) holdMemory(exchange, ready);
  exchange.reply.hijack();
  const settled = settleBody(exchange);
  if (!settled) return send(exchange, ready);
  const kept = copyOf(ready);
  settled.then(() => send(exchange, kept)).catch(() => exchange.response.destroy());
}

/** An answer whose body is bytes. */
interface ReadyAnswer {
  readonly status: number;
  readonly headers: Answer['headers'];
  readonly bytes: Uint8Array;
  readonly isJson: boolean;
  /** Ends the claim on memory of a long one. */
  release: (() => void) | undefined;
}

function readyAnswer({ status, headers, body = EMPTY }: Answer): ReadyAnswer {
  const isJson = !(body instanceof Uint8Array);
  const bytes = isJson ? Buffer.from(JSON.stringify(body)) : body;
  return { status, headers, bytes, isJson, release: undefined };
}

/** Whoever has answered may give the buffer of a small body back. */
function copyOf(answer: ReadyAnswer): ReadyAnswer {
  if (answer.bytes.length > SMALL_BYTES) return answer;
  return { ...answer, bytes: Uint8Array.from(answer.bytes) };
}

/** Refusals go without: they are short, and there is nothing else to tell. */
function holdMemory(exchange: Exchange, answer: ReadyAnswer): void {
  // Nothing is sent then, and nothing would end the claim.
  if (exchange.method === 'HEAD' || answer.status >= 400 || exchange.clientGone) return;
  const lease = exchange.bodies.sent.lease();
  if (!lease.resize(answer.bytes.length)) throw noMemory(exchange, 'sent');
  answer.release = () => lease.release();
  exchange.response.once('close', answer.release);
}

function send(exchange: Exchange, { status, headers, bytes, isJson, release }: ReadyAnswer): void {
  if (exchange.clientGone) return;
  const head = headersOf(exchange, headers);
  if (isJson) head['content-type'] = 'application/json';
  if (status !== 204 && status !== 304) head['content-length'] ??= bytes.length;
  exchange.response.writeHead(status, head);
  sendBody(exchange, exchange.method === 'HEAD' ? EMPTY : bytes);
  // Nearly always the system has taken everything by now, and a timer would cost more than the rest.
  if (exchange.response.socket?.writableLength !== 0) boundIdleTimeToEnd(exchange);
  else release?.();
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
  // A small one is worth a copy, because it then leaves with the head in one write.
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
