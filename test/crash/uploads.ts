import type { Blob } from './content.ts';
import { type Answer, type Connection, NoAnswer } from './http.ts';
import type { Random } from './random.ts';

/** How a client sends a blob. */
export type Manner = 'one request' | 'whole in PUT' | 'chunks' | 'chunks and last in PUT' | 'streamed';
export const MANNERS: readonly Manner[] = [
  'one request',
  'whole in PUT',
  'chunks',
  'chunks and last in PUT',
  'streamed',
];

/** An upload that was not acknowledged as a whole. */
export interface OpenUpload {
  readonly repository: string;
  readonly location: string;
  readonly blob: Blob;
  /** Bytes that the server has acknowledged. */
  acknowledged: number;
  /** Bytes that may have reached it. */
  sent: number;
  /** The PUT that ends it, once it was sent: from which byte on, and whether it told so. */
  last?: { readonly start: number; readonly ranged: boolean };
}

/** What a client saw that no client should see. */
export class Unexpected extends Error {
  override readonly name = 'Unexpected';

  constructor(what: string, { status, body }: Answer) {
    super(`${what}: ${status} ${body.subarray(0, 300).toString()}`);
  }
}

export interface Push {
  readonly connection: Connection;
  readonly repository: string;
  readonly blob: Blob;
  readonly manner: Manner;
  readonly random: Random;
  /** Told of the session as soon as there is one. */
  readonly opened: (upload: OpenUpload) => void;
}

/**
 * Pushes a blob.
 *
 * @throws NoAnswer when the server died; Unexpected for any answer but success
 */
export async function pushBlob({
  connection,
  repository,
  blob,
  manner,
  random,
  opened,
}: Push): Promise<void> {
  const uploads = `/v2/${repository}/blobs/uploads/`;
  if (manner === 'one request') {
    const target = `${uploads}?digest=${blob.digest}`;
    await expectStatus(connection, { method: 'POST', target, body: blob.bytes }, 201);
    return;
  }
  const started = await expectStatus(connection, { method: 'POST', target: uploads }, 202);
  const upload = { repository, location: started.headers.location ?? '', blob, acknowledged: 0, sent: 0 };
  opened(upload);
  const { length } = blob.bytes;
  if (manner === 'streamed') await patch(connection, upload, length, 8);
  if (manner === 'chunks') {
    while (upload.acknowledged < length) {
      const end = Math.min(length, upload.acknowledged + 2 + random.below(length));
      await patch(connection, upload, end);
    }
  }
  if (manner === 'chunks and last in PUT' && length > 2) {
    await patch(connection, upload, 2 + random.below(length - 2));
  }
  await finish(connection, upload, manner === 'chunks and last in PUT' && random.chance(50));
}

/** Sends the bytes up to `end`; without Content-Range when they are streamed in pieces. */
async function patch(
  connection: Connection,
  upload: OpenUpload,
  end: number,
  pieces?: number,
): Promise<void> {
  const { location, blob, acknowledged: start } = upload;
  upload.sent = Math.max(upload.sent, end);
  const headers: Record<string, string> = { 'content-type': 'application/octet-stream' };
  if (pieces === undefined) headers['content-range'] = `${start}-${end - 1}`;
  const body = blob.bytes.subarray(start, end);
  const request = {
    method: 'PATCH',
    target: location,
    headers,
    body,
    ...(pieces === undefined ? {} : { pieces }),
  };
  const { headers: answer } = await expectStatus(connection, request, 202);
  const range = `0-${Math.max(0, end - 1)}`;
  if (answer.range !== range) throw new Error(`PATCH ${location}: Range is ${answer.range}, not ${range}`);
  upload.acknowledged = end;
}

/** Ends the upload with all that is missing. */
async function finish(connection: Connection, upload: OpenUpload, ranged: boolean): Promise<void> {
  upload.last = { start: upload.acknowledged, ranged };
  upload.sent = upload.blob.bytes.length;
  const answer = await sendLast(connection, upload, upload.last);
  if (answer.status !== 201) throw new Unexpected(`PUT ${upload.location}`, answer);
}

function sendLast(
  connection: Connection,
  { location, blob }: OpenUpload,
  { start, ranged }: { readonly start: number; readonly ranged: boolean },
): Promise<Answer> {
  const separator = location.includes('?') ? '&' : '?';
  const target = `${location}${separator}digest=${blob.digest}`;
  const body = blob.bytes.subarray(start);
  const headers: Record<string, string> = ranged
    ? { 'content-range': `${start}-${blob.bytes.length - 1}` }
    : {};
  return connection.send({ method: 'PUT', target, headers, ...(body.length === 0 ? {} : { body }) });
}

/**
 * Goes on with an upload after the server has died: what it acknowledged is there, and a repeated request is
 * understood.
 *
 * @returns whether the blob is there now; false when the client has to start again, which only a PUT may cause
 * @throws Error when bytes are lost or refused
 */
export async function resume(connection: Connection, upload: OpenUpload): Promise<boolean> {
  if (upload.last !== undefined) {
    const answer = await sendLast(connection, upload, upload.last);
    if (answer.status === 201) return true;
    if (answer.status === 404) return false;
    // The server knows better how much it has.
    if (answer.status !== 416) throw new Unexpected(`repeated PUT ${upload.location}`, answer);
  }
  const status = await connection.send({ method: 'GET', target: upload.location });
  if (status.status === 404 && upload.last !== undefined) return false;
  if (status.status !== 204) throw new Unexpected(`status of ${upload.location}`, status);
  const offset = offsetOf(status.headers.range);
  if (offset < upload.acknowledged || offset > upload.sent) {
    const expected = `${upload.acknowledged} to ${upload.sent}`;
    throw new Error(`${upload.location} has ${offset} bytes; ${expected} were expected`);
  }
  const rest = { ...upload, acknowledged: offset };
  delete rest.last;
  if (offset < upload.blob.bytes.length) await patch(connection, rest, upload.blob.bytes.length);
  await finish(connection, rest, false);
  return true;
}

/** `0-0` is what a session without bytes has, and one with a single byte: no chunk here ends there. */
function offsetOf(range: string | undefined): number {
  const end = Number(/^0-(\d+)$/.exec(range ?? '')?.[1]);
  if (Number.isNaN(end)) throw new Error(`not a Range of an upload: ${range}`);
  return end === 0 ? 0 : end + 1;
}

/** @throws NoAnswer, Unexpected */
export async function expectStatus(
  connection: Connection,
  request: Parameters<Connection['send']>[0],
  status: number,
): Promise<Answer> {
  const answer = await connection.send(request);
  if (answer.status !== status) throw new Unexpected(`${request.method} ${request.target}`, answer);
  return answer;
}

/** Runs a request; false when the server died meanwhile. */
export async function acknowledged(request: () => Promise<unknown>): Promise<boolean> {
  try {
    await request();
    return true;
  } catch (error) {
    if (error instanceof NoAnswer) return false;
    throw error;
  }
}
