import type { ServerResponse } from 'node:http';

import type { ByteReader } from '../storage/driver.ts';
import { ClientGone, type Exchange } from './exchange.ts';
import { SMALL_BYTES } from './large-bodies.ts';
import { boundIdleTime, headersOf, respond, unboundIdleTime } from './respond.ts';
import { settleBody } from './unread-body.ts';

export interface StreamHead {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | number>>;
}

/**
 * Answers with the bytes of a reader and closes it.
 *
 * Reads the next buffer while the socket still sends the one before; the reader alternates two, so a third is
 * asked for only when the first has left. (A stream with `pipe` is three to four times slower.)
 *
 * A small blob is copied and leaves with the head. A failure before the first byte is thrown, and can still be
 * answered. Later ones end the connection, because the client must not take a short body for a whole one; they are
 * kept in `exchange.failure`. So does a client that takes nothing for `limits.bodyIdleSeconds`.
 */
export async function streamBlob(exchange: Exchange, head: StreamHead, reader: ByteReader): Promise<void> {
  try {
    const first = await reader.read();
    if (exchange.clientGone) throw new ClientGone();
    if (!first || (first.length === reader.size && first.length <= SMALL_BYTES)) {
      respond(exchange, { ...head, ...(first ? { body: first } : {}) });
      return;
    }
    exchange.reply.hijack();
    await send(exchange, head, reader, first);
  } finally {
    await reader.close();
  }
}

async function send(
  exchange: Exchange,
  { status, headers }: StreamHead,
  reader: ByteReader,
  first: Uint8Array,
): Promise<void> {
  const { response } = exchange;
  try {
    await settleBody(exchange);
    if (exchange.clientGone) throw new ClientGone();
    response.writeHead(status, headersOf(exchange, headers));
    await sendViews(exchange, reader, first);
    await end(response);
  } catch (error) {
    exchange.failure = error;
    response.destroy();
  }
}

async function sendViews(exchange: Exchange, reader: ByteReader, first: Uint8Array): Promise<void> {
  const writer = new Writer(exchange);
  let view: Uint8Array | undefined = first;
  while (view) {
    await writer.idle();
    writer.write(view);
    exchange.sentBytes += view.length;
    view = await reader.read();
  }
  await writer.idle();
}

/** Writes one buffer at a time and tells when it may be used again. */
class Writer {
  readonly #exchange: Exchange;
  #writing: Promise<void> = Promise.resolve();

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** Rejects when the client has gone. */
  idle(): Promise<void> {
    return this.#writing;
  }

  write(view: Uint8Array): void {
    const exchange = this.#exchange;
    const { response } = exchange;
    // Only as long as the client is waited for: a storage that needs long is not its fault.
    boundIdleTime(exchange);
    this.#writing = new Promise((resolve, reject) => {
      const gone = (): void => reject(new ClientGone());
      response.once('close', gone);
      // The callback, not 'drain': it comes when the system has the bytes, however small the buffer.
      response.write(view, (error) => {
        response.off('close', gone);
        unboundIdleTime(exchange);
        if (error) reject(new ClientGone({ cause: error }));
        else resolve();
      });
      if (response.destroyed) gone();
    });
    // Awaited at the next `idle`; a rejection before that must not count as unhandled.
    this.#writing.catch(() => undefined);
  }
}

function end(response: ServerResponse): Promise<void> {
  return new Promise((resolve, reject) => {
    if (response.destroyed) reject(new ClientGone());
    response.once('close', () => (response.writableFinished ? resolve() : reject(new ClientGone())));
    response.end();
  });
}
