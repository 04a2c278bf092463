import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, expect, it } from 'vitest';

import { LimitsConfig } from '../../api/registry-config.ts';
import type { ByteReader } from '../storage/driver.ts';
import { streamBlob } from './blob-stream.ts';
import { Exchange } from './exchange.ts';

let app: FastifyInstance | undefined;

afterEach(() => app?.close());

/** Yields the content once, from a buffer that is used for something else after `close`. */
class BorrowingReader implements ByteReader {
  readonly size: number;
  readonly #buffer: Buffer;
  #isRead = false;

  constructor(content: Uint8Array) {
    this.size = content.length;
    this.#buffer = Buffer.from(content);
  }

  async read(): Promise<Uint8Array | undefined> {
    if (this.#isRead) return undefined;
    this.#isRead = true;
    return this.#buffer;
  }

  async close(): Promise<void> {
    this.#buffer.fill(0);
  }
}

/** Serves the content. @returns the port */
async function serve(content: Uint8Array): Promise<number> {
  app = Fastify({ forceCloseConnections: true });
  app.get('/', async (request, reply) => {
    const exchange = new Exchange(request, reply, { id: '1', startedAt: 0, limits: LimitsConfig.parse({}) });
    const head = { status: 200, headers: { 'content-length': content.length } };
    await streamBlob(exchange, head, new BorrowingReader(content));
  });
  return Number(new URL(await app.listen({ port: 0, host: '127.0.0.1' })).port);
}

it.each([1000, 200_000])(
  'sends %i bytes as they are though the answer waits for the request',
  async (size) => {
    const content = randomBytes(size);
    const socket = connect(await serve(content), '127.0.0.1');
    const received = buffer(socket);
    socket.write('GET / HTTP/1.1\r\nHost: r\r\nConnection: close\r\nContent-Length: 1\r\n\r\n');
    // Time for everything that happens before the answer.
    await sleep(100);
    socket.write('x');

    const answer = await received;

    expect(answer.subarray(-size).equals(content)).toBe(true);
  },
);
