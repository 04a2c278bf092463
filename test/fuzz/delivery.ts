import { setTimeout as sleep } from 'node:timers/promises';

import type { RawAnswer, RawConnection } from '../integration/registry/raw-http.ts';
import { KEPT } from './ledger.ts';
import type { Random } from './random.ts';

/** A request that is whole gets its answer within this time, or something hangs; in milliseconds. */
const PATIENCE_MS = 30_000;
/** So long a client waits that has sent something broken. */
const GLANCE_MS = 300;
/** After an answer nothing more is expected when so long nothing has come. */
const QUIET_MS = 20;

/** What came back for something that need not be a request. */
export interface Echo {
  readonly statuses: readonly number[];
  /** Bytes that do not begin like an answer. */
  readonly malformed: string | undefined;
}

/**
 * Sends a request as it is and reads its answer.
 *
 * @throws AnswerLate, AnswerMalformed
 */
export async function ask(
  connection: RawConnection,
  bytes: Buffer,
  method: string,
): Promise<RawAnswer | undefined> {
  connection.write(bytes);
  return connection.answer(method, PATIENCE_MS);
}

/** Sends bytes in an unfriendly way, or leaves in the middle, and looks what comes back. */
export async function throwAt(connection: RawConnection, bytes: Buffer, random: Random): Promise<Echo> {
  const way = random.below(10);
  if (way === 0) await leaveEarly(connection, bytes, random);
  else if (way <= 2) await sendInPieces(connection, bytes, random);
  else connection.write(bytes);
  if (way === 3) connection.end();
  return echoOf(connection);
}

async function leaveEarly(connection: RawConnection, bytes: Buffer, random: Random): Promise<void> {
  connection.write(bytes.subarray(0, random.below(bytes.length + 1)));
  await sleep(random.below(5));
  if (random.chance(0.5)) connection.reset();
  else connection.destroy();
}

async function sendInPieces(connection: RawConnection, bytes: Buffer, random: Random): Promise<void> {
  for (let start = 0; start < bytes.length && !connection.ended;) {
    const end = start + random.pick([1, 3, 50, 1000, 10_000]);
    await connection.send(bytes.subarray(start, end));
    if (random.chance(0.3)) await sleep(random.below(3));
    start = start < 200 ? end : end + random.below(2) * bytes.length;
  }
}

async function echoOf(connection: RawConnection): Promise<Echo> {
  // The first answer may take a moment; what belongs to it, or comes after it, follows at once.
  while (await connection.more(connection.pending.length === 0 ? GLANCE_MS : QUIET_MS));
  const text = connection.pending.toString('latin1');
  const statuses = [...text.matchAll(/HTTP\/1\.1 (?<status>\d{3}) /g)].map(({ groups }) =>
    Number(groups?.['status']),
  );
  const malformed = text === '' || text.startsWith('HTTP/1.1 ') ? undefined : text.slice(0, 100);
  return { statuses, malformed };
}

/** Whether the bytes might delete something that has to stay. */
export function endangersKept(bytes: Buffer): boolean {
  let text = bytes.toString('latin1');
  for (let round = 0; round < 3; round += 1) {
    text = text.replaceAll(/%(?<hex>[0-9a-f]{2})/gi, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
  }
  return text.includes('DELETE') && text.includes(KEPT);
}
