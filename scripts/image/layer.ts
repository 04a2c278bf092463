import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

import { createTarPacker, type TarHeader } from 'modern-tar';

/** Bytes of a file, read when they are written. */
export interface Content {
  readonly size: number;
  read(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** One entry of a tar file; folders come before what is in them. */
export interface TarEntry {
  /** Without a slash at its start or end. */
  readonly path: string;
  readonly type: 'file' | 'directory';
  readonly mode: number;
  /** Number of the user and group that own it; root when unset. */
  readonly owner?: number;
  /** Only for files. */
  readonly content?: Content;
}

/** Bytes that are addressed by their digest. */
export interface Blob {
  /** `sha256:<hex>` */
  readonly digest: string;
  readonly content: Content;
}

/** A compressed layer with the digest of the tar file inside it. */
export interface Layer extends Blob {
  readonly diffId: string;
  /** Sum of the file sizes. */
  readonly unpackedSize: number;
}

/** Content from memory. */
export function bytesContent(bytes: string | Uint8Array): Content {
  const buffer = Buffer.from(bytes);
  return { size: buffer.length, read: () => [buffer] };
}

/** Content of a file on disk; the file must not change until it has been read. */
export async function fileContent(path: string): Promise<Content> {
  const { size } = await stat(path);
  return { size, read: () => createReadStream(path) };
}

/** JSON as a blob. */
export function jsonBlob(value: unknown): Blob {
  const text = JSON.stringify(value);
  return { digest: digestOf(createHash('sha256').update(text)), content: bytesContent(text) };
}

/**
 * A tar stream that depends on nothing but the entries: their order is kept, every time stamp is the epoch and
 * owners are numbers.
 */
export function tarStream(entries: readonly TarEntry[]): Readable {
  const { readable, controller } = createTarPacker();
  const stream = Readable.fromWeb(readable);
  writeEntries(entries, controller).catch((error: unknown) => {
    stream.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  return stream;
}

async function writeEntries(
  entries: readonly TarEntry[],
  controller: ReturnType<typeof createTarPacker>['controller'],
): Promise<void> {
  for (const entry of entries) {
    const writer = controller.add(header(entry)).getWriter();
    for await (const chunk of entry.content?.read() ?? []) await writer.write(chunk);
    await writer.close();
  }
  controller.finalize();
}

function header(entry: TarEntry): TarHeader {
  const owner = entry.owner ?? 0;
  return {
    name: entry.type === 'directory' ? `${entry.path}/` : entry.path,
    type: entry.type,
    size: entry.content?.size ?? 0,
    mode: entry.mode,
    mtime: new Date(0),
    uid: owner,
    gid: owner,
    uname: '',
    gname: '',
  };
}

/** Compresses entries into a layer, held in memory. */
export async function buildLayer(entries: readonly TarEntry[]): Promise<Layer> {
  const tar = createHash('sha256');
  const compressed = createHash('sha256');
  const chunks: Buffer[] = [];
  await pipeline(
    tarStream(entries),
    tap(tar),
    createGzip({ level: 6 }),
    tap(compressed),
    async (source: AsyncIterable<Buffer>) => {
      for await (const chunk of source) chunks.push(chunk);
    },
  );
  return {
    digest: digestOf(compressed),
    diffId: digestOf(tar),
    content: { size: chunks.reduce((sum, chunk) => sum + chunk.length, 0), read: () => chunks },
    unpackedSize: entries.reduce((sum, entry) => sum + (entry.content?.size ?? 0), 0),
  };
}

function tap(hash: Hash): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(undefined, chunk);
    },
  });
}

function digestOf(hash: Hash): string {
  return `sha256:${hash.digest('hex')}`;
}
