import { Server as NetServer } from 'node:net';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';

import { connectionsOf, type Connections } from './connections.ts';
import type { NodeServer } from './node-server.ts';

/** How often connections are looked at while a server drains, in milliseconds. */
const REAP_MS = 100;
/**
 * Clients that are sent here for a while yet, until everybody knows that this server is not ready, are let in; the
 * server stops listening when none has come for so long, in milliseconds.
 */
const ARRIVAL_GAP_MS = 250;
/** At the latest after this time, in milliseconds. */
const ARRIVALS_MS = 5000;
/** How long a moment is looked for in which no connection waits to be taken over, in milliseconds. */
const BACKLOG_MS = 200;

/**
 * Stops listening, lets requests finish for at most `graceMs` and then closes what is left.
 *
 * Connections end with their next answer, and those that wait for a request are closed when none has come for a
 * moment. So no request is lost that was sent before its client could know.
 *
 * @returns true when every request had finished in time
 */
export async function drain(server: NodeServer, graceMs: number): Promise<boolean> {
  const connections = connectionsOf(server);
  const deadline = performance.now() + graceMs;
  let inTime = true;
  const look = (): void => {
    if (performance.now() < deadline) return connections.closeQuiet();
    inTime &&= connections.busy === 0;
    connections.closeAll();
  };
  connections.endWithAnswers();
  const reaper = setInterval(look, REAP_MS);
  await endOfArrivals(connections, Math.min(graceMs, ARRIVALS_MS));
  const closed = stopListening(server);
  look();
  await closed;
  clearInterval(reaper);
  return inTime;
}

async function endOfArrivals(connections: Connections, maxMs: number): Promise<void> {
  const end = performance.now() + maxMs;
  while (connections.sinceLastAccepted < ARRIVAL_GAP_MS && performance.now() < end) {
    await sleep(
      Math.max(1, Math.min(ARRIVAL_GAP_MS - connections.sinceLastAccepted, end - performance.now())),
    );
  }
  // The system has accepted connections already that would be reset. So this takes them over, reads what has arrived on
  // the others, and does so again while that brings more.
  const patience = performance.now() + BACKLOG_MS;
  let last: number;
  do {
    last = connections.acceptedCount;
    await turn();
  } while (connections.acceptedCount > last && performance.now() < patience);
}

/** That of `net`, because that of `http` also closes connections on which a request may be on its way. */
function stopListening(server: NodeServer): Promise<void> {
  return new Promise((resolve) => {
    NetServer.prototype.close.call(server, () => resolve());
  });
}
