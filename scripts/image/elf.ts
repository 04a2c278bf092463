import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';

import type { Content } from './layer.ts';

/** Offsets in the 64-bit ELF header and program header (elf(5)). */
const HEADER = { class: 4, data: 5, phoff: 32, shoff: 40, phentsize: 54, phnum: 56, shentsize: 58 } as const;
const SEGMENT = { type: 0, offset: 8, fileSize: 32 } as const;
const HEADER_BYTES = 64;
const PT_LOAD = 1;

/**
 * A 64-bit little-endian ELF program without what is never loaded: symbol tables, debug information and the
 * section table that describes them. Of Node that is a fifth. The same bytes on every machine, without binutils.
 *
 * @throws Error when the file is not such a program
 */
export async function loadedPartOfElf(path: string): Promise<Content> {
  const header = await readStart(path);
  if (
    header.toString('latin1', 0, 4) !== '\x7fELF' ||
    header[HEADER.class] !== 2 ||
    header[HEADER.data] !== 1
  ) {
    throw new Error(`${path} is not a 64-bit little-endian ELF program`);
  }
  const size = endOfLoadedSegments(header);
  header.writeBigUInt64LE(0n, HEADER.shoff);
  header.fill(0, HEADER.shentsize, HEADER_BYTES);
  return {
    size,
    async *read() {
      yield header.subarray(0, HEADER_BYTES);
      yield* createReadStream(path, { start: HEADER_BYTES, end: size - 1, highWaterMark: 1 << 20 });
    },
  };
}

/** The header and the program headers, which linkers put right behind it. */
async function readStart(path: string): Promise<Buffer> {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(4096), 0, 4096, 0);
  if (bytesRead < HEADER_BYTES) throw new Error(`${path} is too short for a program`);
  return buffer.subarray(0, bytesRead);
}

function endOfLoadedSegments(header: Buffer): number {
  const first = Number(header.readBigUInt64LE(HEADER.phoff));
  const entrySize = header.readUInt16LE(HEADER.phentsize);
  const ends = Array.from({ length: header.readUInt16LE(HEADER.phnum) }, (_, index) => {
    const entry = header.subarray(first + index * entrySize);
    if (entry.readUInt32LE(SEGMENT.type) !== PT_LOAD) return 0;
    return Number(entry.readBigUInt64LE(SEGMENT.offset) + entry.readBigUInt64LE(SEGMENT.fileSize));
  });
  return Math.max(...ends);
}
