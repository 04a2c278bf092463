import type { StorageDriver } from '../storage/driver.ts';
import { uploadLastKey } from './layout.ts';
import type { UploadBody } from './upload-body.ts';
import type { OpenUpload } from './upload-sessions.ts';

/** Longest note that is read: two numbers and a space. */
const MAX_NOTE_BYTES = 64;

/**
 * Prepares an upload for a PUT that brings the last bytes without telling where they begin. Where they begin is
 * noted first: when the request is repeated after it failed, or after its server died, what it had brought is
 * not added once more.
 *
 * @returns the bytes that are missing
 */
export async function resumeLastBytes(
  storage: StorageDriver,
  { repository, id, session }: OpenUpload,
  body: UploadBody,
): Promise<UploadBody> {
  const key = uploadLastKey(repository, id);
  const { offset } = session;
  const noted = parseNote(await storage.get(key, MAX_NOTE_BYTES));
  if (noted !== undefined && noted.length === body.length && offset >= noted.start) {
    const there = offset - noted.start;
    if (there <= (body.length ?? Infinity)) return without(body, there);
  }
  await storage.put(key, Buffer.from(`${offset} ${body.length ?? ''}`));
  return body;
}

function parseNote(
  bytes: Uint8Array | undefined,
): { readonly start: number; readonly length: number | undefined } | undefined {
  const match = /^(\d{1,16}) (\d{0,16})$/.exec(Buffer.from(bytes ?? []).toString('latin1'));
  if (match === null) return undefined;
  const [, start, length] = match;
  return { start: Number(start), length: length === '' ? undefined : Number(length) };
}

/** The body without its first bytes, which are read all the same. */
function without(body: UploadBody, bytes: number): UploadBody {
  if (bytes === 0) return body;
  const { length } = body;
  return {
    ...body,
    data: dropFirst(body.data, bytes),
    ...(length === undefined ? {} : { length: length - bytes }),
  };
}

async function* dropFirst(data: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of data) {
    const rest = chunk.subarray(Math.min(left, chunk.byteLength));
    left -= chunk.byteLength - rest.byteLength;
    if (rest.byteLength > 0) yield rest;
  }
}
