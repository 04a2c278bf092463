import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { vi } from 'vitest';

import type { TestRegistry } from '../../servers/registry.ts';

const PATIENCE = { timeout: 15_000, interval: 20 };

/** A connection on which a test sends what it wants, when it wants. */
export class SlowClient {
  readonly socket: Socket;
  /** True once the server has closed it. */
  closed = false;
  #received = '';

  static async open(registry: TestRegistry): Promise<SlowClient> {
    const socket = connect(Number(new URL(registry.url).port), '127.0.0.1');
    await once(socket, 'connect');
    return new SlowClient(socket);
  }

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => (this.#received += bytes.toString('latin1')));
    // A reset is a close, too.
    socket.on('error', () => undefined);
    socket.on('close', () => (this.closed = true));
  }

  /** Everything that the server has sent. */
  get received(): string {
    return this.#received;
  }

  send(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Sends the head of a request. */
  request(line: string, headers: Record<string, string | number> = {}): void {
    const lines = Object.entries({ host: 'x', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    this.send(`${line} HTTP/1.1\r\n${lines.join('')}\r\n`);
  }

  /** Waits for an answer. @returns everything received */
  async answer(): Promise<string> {
    return vi.waitFor(() => {
      if (!/\r\n\r\n/.test(this.#received)) throw new Error('no answer yet');
      return this.#received;
    }, PATIENCE);
  }

  /** Waits until the server closes the connection. */
  async end(): Promise<void> {
    await vi.waitFor(() => {
      if (!this.closed) throw new Error('still open');
    }, PATIENCE);
  }

  leave(): void {
    this.socket.destroy();
  }
}

/** The value of a metric with these labels; 0 when it was never set. */
export async function metric(registry: TestRegistry, name: string): Promise<number> {
  const text = await (await fetch(`${registry.opsUrl}/metrics`)).text();
  const line = text.split('\n').find((entry) => entry.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}

/** Waits until so many requests of a kind are queued. */
export async function untilQueued(
  registry: TestRegistry,
  kind: 'read' | 'write',
  count: number,
): Promise<void> {
  await vi.waitFor(async () => {
    const queued = await metric(registry, `registry_http_queued_requests{kind="${kind}"}`);
    if (queued !== count) throw new Error(`${queued} requests to ${kind} are queued`);
  }, PATIENCE);
}

/** Waits until so many requests of an endpoint are being answered. */
export async function untilRunning(registry: TestRegistry, handler: string, count: number): Promise<void> {
  await vi.waitFor(async () => {
    const running = await metric(registry, `registry_http_in_flight_requests{handler="${handler}"}`);
    if (running !== count) throw new Error(`${running} requests of ${handler} are running`);
  }, PATIENCE);
}
