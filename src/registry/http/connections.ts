import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';

import type { Clock } from '../../shared/clock.ts';

interface Connection {
  /** Answers that have not ended, in the order of their requests. */
  readonly answers: Set<ServerResponse>;
  /** Begin the requests that have come before the answer of another one had ended. */
  readonly waiting: (() => void)[];
  /** Bytes that had arrived at the end of the last answer; more of them are a request that is on its way. */
  settledBytes: number;
  /** Milliseconds on the monotonic clock at which something was last known to happen. */
  busyAt: number;
}

/** A connection without a request is left open for so long, because one may be on its way; in milliseconds. */
const QUIET_MS = 1000;
/** The same for one on which the head of a request has begun to arrive. */
const HEAD_MS = 5000;
/** Requests that may wait on a connection for the answers before theirs. */
const MAX_WAITING = 16;

/**
 * The open connections of a server and what they are doing, so that a server that stops closes none on which a
 * request is on its way: a client cannot know whether it was processed.
 */
export class Connections {
  readonly #now: Clock['monotonic'];
  readonly #open = new Map<Socket, Connection>();
  /** Every socket below them, also those that do not speak TLS yet. */
  readonly #sockets = new Set<Socket>();
  #closing = false;
  #acceptedAt = -Infinity;
  #acceptedCount = 0;

  constructor(now: Clock['monotonic']) {
    this.#now = now;
  }

  /** Sockets that are open. */
  get size(): number {
    return this.#sockets.size;
  }

  /** Connections with an answer that has not ended. */
  get busy(): number {
    return this.#open.values().reduce((count, { answers }) => count + (answers.size > 0 ? 1 : 0), 0);
  }

  /** Sockets that were ever open. */
  get acceptedCount(): number {
    return this.#acceptedCount;
  }

  /** Milliseconds since a client connected last. */
  get sinceLastAccepted(): number {
    return this.#now() - this.#acceptedAt;
  }

  /** A client has connected. */
  accepted(socket: Socket): void {
    this.#acceptedAt = this.#now();
    this.#acceptedCount += 1;
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  /** Requests can come: at once, or after the handshake of TLS. */
  opened(socket: Socket): void {
    this.#open.set(socket, { answers: new Set(), waiting: [], settledBytes: 0, busyAt: this.#now() });
    socket.once('close', () => this.#open.delete(socket));
  }

  /**
   * A request has come; its connection is busy until the answer has ended.
   *
   * One connection has one request under way: hundreds of them fit into one packet, and would take the places of as
   * many clients for answers that are sent one after the other anyway. After an answer that ends the connection
   * nothing more is done, since nobody could be told. Who goes on sending requests without end is cut off.
   *
   * @param run begins it
   */
  begin({ socket }: Pick<IncomingMessage, 'socket'>, response: ServerResponse, run: () => void): void {
    const connection = this.#open.get(socket);
    if (!connection) return run();
    if (connection.waiting.length === MAX_WAITING) {
      socket.destroy();
      return;
    }
    connection.answers.add(response);
    if (this.#closing) response.shouldKeepAlive = false;
    response.once('close', () => {
      connection.answers.delete(response);
      connection.settledBytes = socket.bytesRead;
      connection.busyAt = this.#now();
      if (socket.writable) connection.waiting.shift()?.();
    });
    if (connection.answers.size === 1) run();
    else connection.waiting.push(run);
  }

  /** Whether requests can come on a connection, and none is under way. */
  isIdle(socket: Socket): boolean {
    return this.#open.get(socket)?.answers.size === 0;
  }

  /**
   * Whether an answer can be sent to something that is no request, or no end of one: nothing of another answer is on
   * its way, and the client would not take it for that to another request.
   */
  canRefuse(socket: Socket): boolean {
    const [answer, ...others] = this.#open.get(socket)?.answers ?? [];
    return answer === undefined || (others.length === 0 && !answer.headersSent && !answer.req.complete);
  }

  /**
   * From now on, a connection ends with its next answer, also where the request has come already. One on which nothing
   * happens is left open for a moment yet: its client may be about to use it.
   */
  endWithAnswers(): void {
    this.#closing = true;
    const now = this.#now();
    for (const connection of this.#open.values()) {
      connection.busyAt = now;
      for (const response of connection.answers) if (!response.headersSent) response.shouldKeepAlive = false;
    }
  }

  /** Closes the connections on which nothing happens. */
  closeQuiet(): void {
    const now = this.#now();
    for (const [socket, connection] of this.#open) {
      if (connection.answers.size > 0) continue;
      const patience = socket.bytesRead > connection.settledBytes ? HEAD_MS : QUIET_MS;
      if (now - connection.busyAt >= patience) socket.destroy();
    }
  }

  closeAll(): void {
    for (const socket of [...this.#open.keys(), ...this.#sockets]) socket.destroy();
  }
}

const known = new WeakMap<HttpServer | HttpsServer, Connections>();

/** Watches the connections of a server that does not listen yet. */
export function trackConnections(server: HttpServer | HttpsServer): Connections {
  const connections = new Connections(() => performance.now());
  known.set(server, connections);
  server.on('connection', (socket: Socket) => connections.accepted(socket));
  server.on(server instanceof HttpsServer ? 'secureConnection' : 'connection', (socket: Socket) =>
    connections.opened(socket),
  );
  return connections;
}

/** @throws Error when they are not watched, which is a fault of this program */
export function connectionsOf(server: HttpServer | HttpsServer): Connections {
  const connections = known.get(server);
  if (!connections) throw new Error('the connections of the server are not watched');
  return connections;
}
