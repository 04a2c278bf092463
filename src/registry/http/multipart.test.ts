import { randomBytes } from 'node:crypto';

import { describe, expect, it } from 'vitest';

import { parseDigest } from '../distribution/digest.ts';
import type { ByteRange, ByteReader } from '../storage/driver.ts';
import { MultipartReader } from './multipart.ts';

const CONTENT = randomBytes(1000);
const HEX = 'ab'.repeat(32);
const DESCRIPTOR = {
  digest: parseDigest(`sha256:${HEX}`),
  mediaType: 'application/octet-stream',
  size: CONTENT.length,
};

/** Yields seven bytes at a time from two alternating buffers, as the port allows, and notes when it is closed. */
class AlternatingReader implements ByteReader {
  static open = 0;
  static most = 0;
  readonly size: number;
  readonly #buffers = [Buffer.alloc(7), Buffer.alloc(7)];
  #position: number;
  readonly #end: number;
  #isClosed = false;

  constructor({ start, end }: ByteRange) {
    this.size = end - start + 1;
    this.#position = start;
    this.#end = end + 1;
    AlternatingReader.open++;
    AlternatingReader.most = Math.max(AlternatingReader.most, AlternatingReader.open);
  }

  async read(): Promise<Uint8Array | undefined> {
    if (this.#position >= this.#end) return undefined;
    const [buffer = Buffer.alloc(0)] = this.#buffers;
    this.#buffers.reverse();
    const view = buffer.subarray(0, Math.min(buffer.length, this.#end - this.#position));
    CONTENT.copy(view, 0, this.#position);
    this.#position += view.length;
    return view;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const buffer of this.#buffers) buffer.fill(0);
    AlternatingReader.open--;
  }
}

/** Reads like a writer that sends one view while it asks for the next. */
async function readLate(reader: ByteReader): Promise<Buffer> {
  const sent: Buffer[] = [];
  let view = await reader.read();
  while (view) {
    const next = await reader.read();
    sent.push(Buffer.from(view));
    view = next;
  }
  return Buffer.concat(sent);
}

describe('MultipartReader', () => {
  it('yields the parts with their heads, in the length that it has told', async () => {
    const ranges = [
      { start: 900, end: 999 },
      { start: 0, end: 0 },
      { start: 10, end: 40 },
    ];
    const reader = new MultipartReader(DESCRIPTOR, ranges, async (range) => new AlternatingReader(range));

    const bytes = await readLate(reader);

    const part = (start: number, end: number) => [
      `--${HEX}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes ${start}-${end}/1000\r\n\r\n`,
      CONTENT.subarray(start, end + 1).toString('latin1'),
      '\r\n',
    ];
    const expected = [...part(900, 999), ...part(0, 0), ...part(10, 40), `--${HEX}--\r\n`].join('');
    expect(bytes.toString('latin1')).toBe(expected);
    expect(reader.size).toBe(bytes.length);
    expect(reader.mediaType).toBe(`multipart/byteranges; boundary=${HEX}`);
    expect(await reader.read()).toBeUndefined();
    await reader.close();
    expect(AlternatingReader.open).toBe(0);
  });

  it('has only one range open at a time, and closes it when the client leaves', async () => {
    const ranges = Array.from({ length: 16 }, (_, n) => ({ start: n * 50, end: n * 50 + 20 }));
    const reader = new MultipartReader(DESCRIPTOR, ranges, async (range) => new AlternatingReader(range));

    for (let n = 0; n < 30; n++) await reader.read();
    await reader.close();

    expect(AlternatingReader.most).toBe(1);
    expect(AlternatingReader.open).toBe(0);
    expect(await reader.read()).toBeUndefined();
  });

  it('fails when a part cannot be opened', async () => {
    const reader = new MultipartReader(DESCRIPTOR, [{ start: 0, end: 9 }], () =>
      Promise.reject(new Error('gone')),
    );

    await reader.read();

    await expect(reader.read()).rejects.toThrow('gone');
    await reader.close();
  });

  it('makes a boundary of a legal length from every digest', () => {
    const digest = parseDigest(`sha512:${'cd'.repeat(64)}`);
    const { mediaType } = new MultipartReader({ ...DESCRIPTOR, digest }, [], () =>
      Promise.reject(new Error()),
    );

    expect(mediaType).toBe(`multipart/byteranges; boundary=${'cd'.repeat(32)}`);
  });
});
