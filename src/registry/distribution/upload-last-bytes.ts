import type { StorageDriver } from '../storage/driver.ts';
import type { ByteSource } from './byte-source.ts';
import { uploadLastKey } from './layout.ts';
import type { UploadBody } from './upload-body.ts';
import type { OpenUpload } from './upload-sessions.ts';

/** Longest note that is read: two numbers and a space. */
const MAX_NOTE_BYTES = 64;
const SCRATCH_BYTES = 64 << 10;

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
    data: new Remainder(body.data, bytes),
    ...(length === undefined ? {} : { length: length - bytes }),
  };
}

/** What comes after the first bytes of a source. */
class Remainder implements ByteSource {
  readonly #source: ByteSource;
  /** Bytes that are still to be passed over. */
  #left: number;

  constructor(source: ByteSource, bytes: number) {
    this.#source = source;
    this.#left = bytes;
  }

  async ready(): Promise<boolean> {
    if (this.#left > 0) await this.#passOver(new Uint8Array(Math.min(this.#left, SCRATCH_BYTES)));
    return this.#source.ready();
  }

  async fill(target: Uint8Array): Promise<number> {
    return (await this.ready()) ? this.#source.fill(target) : 0;
  }

  close(): void {
    this.#source.close();
  }

  async #passOver(scratch: Uint8Array): Promise<void> {
    while (this.#left > 0 && (await this.#source.ready())) {
      this.#left -= await this.#source.fill(scratch.subarray(0, this.#left));
    }
  }
}
