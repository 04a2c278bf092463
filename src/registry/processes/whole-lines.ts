const NEWLINE = 0x0a;
/** No line of a log is longer; what has no end is passed on in pieces of this size. */
const MAX_LINE_BYTES = 1 << 20;

/**
 * Cuts what a process writes at the ends of lines, so that the lines of several processes do not mix. What a process
 * has left of a line that it did not finish is no line, and is dropped with this.
 */
export class WholeLines {
  readonly #write: (lines: string) => void;
  #rest: Uint8Array[] = [];
  #restBytes = 0;

  /** @param write gets one or more whole lines */
  constructor(write: (lines: string) => void) {
    this.#write = write;
  }

  push(chunk: Uint8Array): void {
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end > 0) this.#flush(chunk.subarray(0, end));
    if (end < chunk.byteLength) this.#keep(chunk.subarray(end));
  }

  #keep(part: Uint8Array): void {
    this.#rest.push(part);
    this.#restBytes += part.byteLength;
    if (this.#restBytes > MAX_LINE_BYTES) this.#flush(Uint8Array.of(NEWLINE));
  }

  #flush(end: Uint8Array): void {
    const lines = this.#rest.length === 0 ? Buffer.from(end) : Buffer.concat([...this.#rest, end]);
    this.#rest = [];
    this.#restBytes = 0;
    this.#write(lines.toString('utf8'));
  }
}
