import type { IncomingMessage } from 'node:http';

import type { Exchange } from './exchange.ts';

/** The rest of a body that nobody wants is read for so long, so that the client gets to read the answer. */
const LINGER_MS = 5000;

/** False when the request has no body, or an empty one of a known length. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0').trim() !== '0';
}

/**
 * To be called before every answer: sees to it that a body that was not read, or not to its end, neither keeps the
 * client from reading the answer nor is taken for the next request.
 *
 * A body that the client still holds back (`Expect: 100-continue`) may or may not come, so that nothing after it
 * could be told apart: the connection is closed (RFC 9110 §10.1.1). On a connection that is kept, what arrives
 * after the answer is discarded. One that is closed with the answer would be reset under a client that sends: there
 * the body comes first. A client that goes on for long is cut off either way.
 *
 * @returns undefined when the answer can go at once, else when it can
 */
export function settleBody(exchange: Exchange): Promise<void> | undefined {
  const { request, response } = exchange;
  if (request.complete || !hasBody(request)) return undefined;
  if (exchange.expectsContinue) {
    response.shouldKeepAlive = false;
    if (request.readableLength === 0) return undefined;
  }
  const { promise, resolve } = Promise.withResolvers<void>();
  // Not at once: this may run while the last reader is still being taken off, and a paused body would stay so.
  setImmediate(() => request.resume());
  if (response.shouldKeepAlive) {
    // When the body has come to its end, the connection may already serve another request.
    const timer = setTimeout(() => {
      if (!request.complete) request.socket.destroy();
    }, LINGER_MS);
    timer.unref();
    request.once('close', () => clearTimeout(timer));
    return undefined;
  }
  const timer = setTimeout(resolve, LINGER_MS);
  request.once('end', resolve);
  request.once('close', () => {
    clearTimeout(timer);
    resolve();
  });
  return promise;
}
