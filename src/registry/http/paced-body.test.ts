import { createServer, type IncomingMessage, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, describe, expect, it } from 'vitest';

import { PacedBody } from './paced-body.ts';

const LIMITS = { bodyIdleSeconds: 30, minBodyBytesPerSecond: 0 };

const server = createServer();

afterEach(() => {
  server.removeAllListeners('request');
  server.closeAllConnections();
  server.close();
});

/** Sends a body to a server; `send` is called with what sends it. */
async function bodyOf(send: (write: (bytes: Buffer) => void, end: () => void) => void): Promise<{
  readonly body: PacedBody;
  readonly request: IncomingMessage;
  /** Lengths of the chunks as Node made them. */
  readonly lengths: number[];
  /** Breaks the connection. */
  readonly cut: () => void;
}> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const client = httpRequest({ port, host: '127.0.0.1', method: 'PUT' });
  client.on('error', () => undefined);
  const arrived = new Promise<IncomingMessage>((resolve) => {
    server.once('request', resolve);
  });
  client.flushHeaders();
  const request = await arrived;
  const lengths: number[] = [];
  const body = new PacedBody({
    request,
    limits: LIMITS,
    onBegin: () => undefined,
    onBytes: (bytes) => void lengths.push(bytes),
    onTooSlow: () => undefined,
  });
  send(
    (bytes) => void client.write(bytes),
    () => void client.end(),
  );
  return { body, request, lengths, cut: () => client.destroy() };
}

function someBytes(size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, (_, index) => (index * 7) >>> 3));
}

describe('PacedBody', () => {
  it('fills targets of any size in order, and says when there are no more bytes', async () => {
    const bytes = someBytes(300_000);
    const { body } = await bodyOf((write, end) => {
      for (let start = 0; start < bytes.length; start += 70_000) write(bytes.subarray(start, start + 70_000));
      end();
    });

    const parts: Buffer[] = [];
    for (let size = 1; await body.ready(); size = size * 3 + 1) {
      const target = Buffer.alloc(size);
      parts.push(target.subarray(0, await body.fill(target)));
    }

    expect(Buffer.concat(parts).equals(bytes)).toBe(true);
    expect(parts.slice(0, -1).map(({ length }) => length)).toEqual([
      1, 4, 13, 40, 121, 364, 1093, 3280, 9841, 29_524, 88_573,
    ]);
    body.close();
  });

  it('gives the memory of a chunk back as soon as it is copied', async () => {
    const bytes = someBytes(200_000);
    const { body, request, lengths } = await bodyOf((write, end) => {
      write(bytes);
      end();
    });
    const chunks: Buffer[] = [];
    request.prependListener('data', (chunk: Buffer) => void chunks.push(chunk));

    const target = Buffer.from(new SharedArrayBuffer(bytes.length));
    expect(await body.ready()).toBe(true);
    expect(await body.fill(target)).toBe(bytes.length);

    expect(target.equals(bytes)).toBe(true);
    expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(bytes.length);
    expect(chunks.map(({ length }) => length)).toEqual(chunks.map(() => 0));
    body.close();
  });

  it('hands out what came before its client went away, and then tells that it has gone', async () => {
    const { body, cut } = await bodyOf((write) => write(Buffer.from('begun')));
    expect(await body.ready()).toBe(true);
    const target = Buffer.alloc(100);
    const filling = body.fill(target);
    cut();

    expect(target.toString('latin1', 0, await filling)).toBe('begun');
    await expect(body.ready()).rejects.toThrow('the client has closed the connection');
  });

  it('stops in the middle of a wait, and takes nothing more', async () => {
    const { body, request } = await bodyOf((write) => write(Buffer.from('begun')));
    expect(await body.ready()).toBe(true);
    const filling = body.fill(Buffer.alloc(100));
    body.close();

    expect(await filling).toBe(5);
    expect(await body.ready()).toBe(false);
    expect(request.isPaused()).toBe(true);
  });

  it('takes no more than a buffer from a client while nobody asks', async () => {
    const { body, request, lengths } = await bodyOf((write) => {
      for (let count = 0; count < 64; count++) write(Buffer.alloc(65_536));
    });
    expect(await body.ready()).toBe(true);
    expect(await body.fill(Buffer.alloc(1))).toBe(1);
    await expect.poll(() => request.isPaused(), { timeout: 20_000 }).toBe(true);

    const taken = lengths.reduce((sum, length) => sum + length, 0) + request.readableLength;
    expect(taken).toBeLessThanOrEqual(4 * 65_536);
    body.close();
  });
});
