import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { afterEach, expect, it } from 'vitest';

import { LimitsConfig } from '../../api/registry-config.ts';
import type { ByteReader } from '../storage/driver.ts';
import { streamBlob } from './blob-stream.ts';
import { Exchange } from './exchange.ts';
import { createLargeBodies } from './large-bodies.ts';
import { respond } from './respond.ts';

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

/** Yields a few pieces, the last one after a while. */
class SlowReader implements ByteReader {
  readonly size: number;
  readonly #pieces: Uint8Array[];

  constructor(...pieces: Uint8Array[]) {
    this.size = Buffer.concat(pieces).length;
    this.#pieces = pieces;
  }

  async read(): Promise<Uint8Array | undefined> {
    if (this.#pieces.length === 1) await sleep(2 * IDLE_MS);
    return this.#pieces.shift();
  }

  async close(): Promise<void> {}
}

const IDLE_MS = 500;

/** Serves what the readers yield, one for each request. @returns the port */
async function serve(...readers: ByteReader[]): Promise<number> {
  const limits = { ...LimitsConfig.parse({}), bodyIdleSeconds: IDLE_MS / 1000 };
  app = Fastify({ forceCloseConnections: true });
  // One request after the other, as the server has it.
  let turn: Promise<unknown> = Promise.resolve();
  const begin = async (request: FastifyRequest, reply: FastifyReply): Promise<Exchange> => {
    const before = turn;
    turn = once(reply.raw, 'close');
    await before;
    return new Exchange(request, reply, {
      id: '1',
      startedAt: 0,
      bodies: createLargeBodies(64 << 20),
      limits,
    });
  };
  app.get('/whole', async (request, reply) => {
    respond(await begin(request, reply), { status: 200, body: Buffer.alloc(16 << 20) });
  });
  app.get('/', async (request, reply) => {
    const reader = readers.shift() ?? new BorrowingReader(Buffer.of());
    const exchange = await begin(request, reply);
    const head = { status: 200, headers: { 'content-length': reader.size } };
    await streamBlob(exchange, head, reader);
  });
  return Number(new URL(await app.listen({ port: 0, host: '127.0.0.1' })).port);
}

it.each([1000, 200_000])(
  'sends %i bytes as they are though the answer waits for the request',
  async (size) => {
    const content = randomBytes(size);
    const socket = connect(await serve(new BorrowingReader(content)), '127.0.0.1');
    const received = buffer(socket);
    socket.write('GET / HTTP/1.1\r\nHost: r\r\nConnection: close\r\nContent-Length: 1\r\n\r\n');
    // Time for everything that happens before the answer.
    await sleep(100);
    socket.write('x');

    const answer = await received;

    expect(answer.subarray(-size).equals(content)).toBe(true);
  },
);

it('keeps a client that takes everything, however long the storage needs for it', async () => {
  const pieces = [randomBytes(100_000), randomBytes(100_000), randomBytes(10)];
  const socket = connect(await serve(new SlowReader(...pieces)), '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: r\r\nConnection: close\r\n\r\n');

  const answer = await buffer(socket);

  expect(answer.subarray(-200_010).equals(Buffer.concat(pieces))).toBe(true);
});

it.each(['/', '/whole'])(
  'does not count the time between two answers on a connection, after %s',
  async (path) => {
    const [first, second] = [Buffer.alloc(16 << 20), randomBytes(10)];
    const readers = [...(path === '/' ? [new BorrowingReader(first)] : []), new SlowReader(second)];
    const socket = connect(await serve(...readers), '127.0.0.1');
    const received = buffer(socket);
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: r\r\n\r\nGET / HTTP/1.1\r\nHost: r\r\nConnection: close\r\n\r\n`,
    );

    const answer = await received;

    expect(answer.subarray(-10).equals(second)).toBe(true);
  },
);
