import type { Digest } from '../distribution/digest.ts';
import type { ByteRange, ByteReader } from '../storage/driver.ts';

export interface MultipartContent {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Of the whole object, in bytes. */
  readonly size: number;
}

/**
 * Several ranges of one object as `multipart/byteranges` (RFC 9110 §14.6), each opened when the one before has
 * ended, so that never more than the buffers of one are in use.
 */
export class MultipartReader implements ByteReader {
  readonly size: number;
  readonly mediaType: string;
  readonly #open: (range: ByteRange) => Promise<ByteReader>;
  readonly #parts: readonly Part[];
  readonly #end: Uint8Array;
  /** The part whose head was read last; one beyond the parts stands for the end. */
  #index = -1;
  #reader: ByteReader | undefined;
  /** Has ended, but its last view may still be on its way. */
  #previous: ByteReader | undefined;

  constructor(
    content: MultipartContent,
    ranges: readonly ByteRange[],
    open: (range: ByteRange) => Promise<ByteReader>,
  ) {
    const boundary = boundaryOf(content.digest);
    this.mediaType = `multipart/byteranges; boundary=${boundary}`;
    this.#open = open;
    this.#parts = ranges.map((range, index) => ({ range, head: headOf(content, range, boundary, index) }));
    this.#end = Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1');
    this.size = this.#parts.reduce(
      (sum, { head, range }) => sum + head.length + lengthOf(range),
      this.#end.length,
    );
  }

  async read(): Promise<Uint8Array | undefined> {
    // A view is valid until the second next read, and the head of the part after it was the first.
    await this.#closePrevious();
    const part = this.#parts[this.#index];
    if (part) this.#reader ??= await this.#open(part.range);
    const view = await this.#reader?.read();
    if (view !== undefined) return view;
    this.#previous = this.#reader;
    this.#reader = undefined;
    this.#index++;
    return this.#index === this.#parts.length ? this.#end : this.#parts[this.#index]?.head;
  }

  async close(): Promise<void> {
    this.#index = this.#parts.length;
    const reader = this.#reader;
    this.#reader = undefined;
    await Promise.all([reader?.close(), this.#closePrevious()]);
  }

  async #closePrevious(): Promise<void> {
    const reader = this.#previous;
    this.#previous = undefined;
    await reader?.close();
  }
}

interface Part {
  readonly range: ByteRange;
  /** What stands before its bytes. */
  readonly head: Uint8Array;
}

function headOf(
  { mediaType, size }: MultipartContent,
  range: ByteRange,
  boundary: string,
  index: number,
): Buffer {
  const lines = [
    `${index === 0 ? '' : '\r\n'}--${boundary}`,
    `Content-Type: ${mediaType}`,
    `Content-Range: bytes ${range.start}-${range.end}/${size}`,
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

/** No content can be made that contains its own digest. A boundary has at most 70 characters (RFC 2046 §5.1.1). */
function boundaryOf(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1).slice(0, 64);
}

function lengthOf({ start, end }: ByteRange): number {
  return end - start + 1;
}
