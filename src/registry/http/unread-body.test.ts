import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { LimitsConfig } from '../../api/registry-config.ts';
import { Exchange } from './exchange.ts';
import { createLargeBodies } from './large-bodies.ts';
import { respond } from './respond.ts';

/** Longer than a body is waited for. */
const LONG_MS = 6000;
const WAIT = { timeout: 10_000, interval: 10 };

let app: FastifyInstance;
let exchanges: Exchange[];
let client: Socket;
let received: string;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  exchanges = [];
  received = '';
  app = Fastify({ forceCloseConnections: true });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  app.all('/', async (request, reply) => {
    const exchange = new Exchange(request, reply, {
      id: '1',
      startedAt: 0,
      bodies: createLargeBodies(64 << 20),
      limits: LimitsConfig.parse({}),
    });
    exchanges.push(exchange);
    // A reader that has stopped in the middle of the body, and still holds it.
    request.raw.on('readable', () => undefined);
    respond(exchange, { status: 204 });
  });
  client = connect(Number(new URL(await app.listen({ port: 0, host: '127.0.0.1' })).port), '127.0.0.1');
  client.on('error', () => undefined);
  client.on('data', (bytes) => {
    received += bytes.toString();
  });
});
afterEach(async () => {
  client.destroy();
  vi.useRealTimers();
  await app.close();
});

/** Sends the begin of a request with a body and waits for the answer, which comes before the rest. */
async function beginRequest(): Promise<void> {
  client.write('PUT / HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
  await vi.waitFor(() => expect(received).toContain('204'), WAIT);
}

it('leaves a connection alone whose body has come to its end, whoever still holds it', async () => {
  await beginRequest();
  client.write('3\r\ndef\r\n0\r\n\r\n');
  await vi.waitFor(() => expect(exchanges[0]?.request.complete).toBe(true), WAIT);

  vi.advanceTimersByTime(LONG_MS);

  received = '';
  client.write('GET / HTTP/1.1\r\nHost: r\r\n\r\n');
  await vi.waitFor(() => expect(received).toContain('204'), WAIT);
});

it('closes a connection whose body does not come to its end', async () => {
  await beginRequest();
  const closed = once(client, 'close');

  vi.advanceTimersByTime(LONG_MS);

  expect(await closed).toBeDefined();
});
