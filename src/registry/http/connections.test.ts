import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';

import { describe, expect, it } from 'vitest';

import { VirtualClock } from '../../../test/helpers/virtual-clock.ts';
import { Connections } from './connections.ts';

/** A connection that never was; its count of bytes is set by the test. */
class TestSocket extends Socket {
  received = 0;

  constructor() {
    super();
    Object.defineProperty(this, 'bytesRead', { get: () => this.received });
  }
}

function setUp() {
  const clock = new VirtualClock();
  const connections = new Connections(() => clock.monotonic());
  const begun: ServerResponse[] = [];
  const open = (): TestSocket => {
    const socket = new TestSocket();
    connections.accepted(socket);
    connections.opened(socket);
    return socket;
  };
  const request = (socket: TestSocket): ServerResponse => {
    socket.received += 100;
    const message = new IncomingMessage(socket);
    Object.assign(message, { httpVersionMajor: 1, httpVersionMinor: 1 });
    const response = new ServerResponse(message);
    connections.begin(message, response, () => begun.push(response));
    return response;
  };
  /** Looks for quiet connections after a time in which nothing has happened. */
  const closeQuietAfter = (milliseconds: number): void => {
    clock.stall(milliseconds);
    connections.closeQuiet();
  };
  return { begun, clock, closeQuietAfter, connections, open, request };
}

describe('Connections', () => {
  it('are closed when no request has come for a moment', () => {
    const { closeQuietAfter, open } = setUp();
    const socket = open();

    closeQuietAfter(999);
    expect(socket.destroyed).toBe(false);
    closeQuietAfter(1);
    expect(socket.destroyed).toBe(true);
  });

  it('are left open while an answer is under way, and for a moment after it', () => {
    const { closeQuietAfter, open, request } = setUp();
    const socket = open();
    const responses = [request(socket), request(socket)];

    for (const response of responses) {
      closeQuietAfter(60_000);
      expect(socket.destroyed).toBe(false);
      response.emit('close');
    }
    closeQuietAfter(500);
    expect(socket.destroyed).toBe(false);
    closeQuietAfter(500);
    expect(socket.destroyed).toBe(true);
  });

  it('have one request under way, and begin the next when its answer has ended', () => {
    const { begun, open, request } = setUp();
    const socket = open();
    const [first, second, third] = [request(socket), request(socket), request(socket)];

    expect(begun).toEqual([first]);
    first.emit('close');
    expect(begun).toEqual([first, second]);
    socket.destroy();
    second.emit('close');
    third.emit('close');
    expect(begun).toEqual([first, second]);
  });

  it('are closed when more and more requests come without an end of the first', () => {
    const { begun, open, request } = setUp();
    const socket = open();
    for (let count = 0; count < 17; count += 1) request(socket);
    expect(socket.destroyed).toBe(false);

    request(socket);

    expect(socket.destroyed).toBe(true);
    expect(begun).toHaveLength(1);
  });

  it('are busy from a request to the end of its answer', () => {
    const { connections, open, request } = setUp();
    const idle = open();
    const socket = open();
    const answer = request(socket);

    expect([connections.busy, connections.isIdle(idle), connections.isIdle(socket)]).toEqual([
      1,
      true,
      false,
    ]);
    answer.emit('close');
    expect([connections.busy, connections.isIdle(socket)]).toEqual([0, true]);
  });

  it('are left open longer when a request has begun to arrive', () => {
    const { closeQuietAfter, open, request } = setUp();
    const socket = open();
    request(socket).emit('close');
    socket.received += 1;

    closeQuietAfter(4999);
    expect(socket.destroyed).toBe(false);
    closeQuietAfter(1);
    expect(socket.destroyed).toBe(true);
  });

  it('end with their next answer once the server stops', () => {
    const { connections, open, request } = setUp();
    const before = request(open());
    expect(before.shouldKeepAlive).toBe(true);

    connections.endWithAnswers();

    expect(before.shouldKeepAlive).toBe(false);
    expect(request(open()).shouldKeepAlive).toBe(false);
  });

  it('are left open for a moment once the server stops, however long nothing has happened on them', () => {
    const { clock, closeQuietAfter, connections, open } = setUp();
    const socket = open();
    clock.stall(60_000);
    connections.endWithAnswers();

    closeQuietAfter(999);
    expect(socket.destroyed).toBe(false);
    closeQuietAfter(1);
    expect(socket.destroyed).toBe(true);
  });

  it('tell when the last one came', () => {
    const { clock, connections, open } = setUp();
    expect(connections.sinceLastAccepted).toBe(Infinity);
    open();
    clock.stall(300);

    expect(connections.sinceLastAccepted).toBe(300);
  });

  it('are all closed at the end, also those that do not speak TLS yet', async () => {
    const { connections, open, request } = setUp();
    const busy = open();
    request(busy);
    const silent = new TestSocket();
    connections.accepted(silent);
    expect(connections.size).toBe(2);

    connections.closeAll();

    expect([busy.destroyed, silent.destroyed]).toEqual([true, true]);
    await expect.poll(() => connections.size, { timeout: 5000 }).toBe(0);
  });
});
