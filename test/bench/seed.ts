import { createHash, randomFillSync } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';

import { loadgen } from './load-generator.ts';
import { LAYERS, type Scale, STREAMS } from './scale.ts';
import { type Programs, startSubject } from './subjects.ts';

/** Parts of the content that rows read or push. */
export type SeedPart =
  | 'small'
  | 'big'
  | 'streams'
  | 'image'
  | 'tags'
  | 'referrers'
  | 'repositories'
  | 'twice'
  | 'repositories-twice'
  | 'push-big'
  | 'push-streams'
  | 'push-warm'
  | 'push-load';

/** A file that is, or becomes, a blob. */
export interface BlobFile {
  readonly path: string;
  readonly digest: string;
  readonly size: number;
}

/** What was seeded. Only the parts that were asked for are there. */
export interface Seed {
  /** Folder that every server reads: the layout is that of distribution. */
  readonly root: string;
  /** The same with twice the repositories. */
  readonly rootTwice: string;
  readonly blobs: Readonly<Partial<Record<SeedPart, readonly BlobFile[]>>>;
  /** Digest of the manifest that the part is about. */
  readonly digests: Readonly<Partial<Record<SeedPart, string>>>;
}

const SMALL_BYTES = 4096;
/** What the clients of the load test push, again and again. */
const LOAD_BYTES = 8 << 20;
const LOAD_BLOBS = 64;
/** What a server is warmed with before large pushes are measured. */
const WARM_BYTES = 64 << 20;
/** Clients that push the seed at once. */
const CLIENTS = 8;
const BLOCK = randomFillSync(Buffer.alloc(4 << 20));

export const REPOSITORIES = {
  small: 'bench/small',
  big: 'bench/big',
  streams: 'bench/streams',
  image: 'bench/image',
  tags: 'bench/tags',
  referrers: 'bench/referrers',
  tagsTwice: 'bench/tags-twice',
  referrersTwice: 'bench/referrers-twice',
  many: 'many',
} as const;

/** Bytes that the parts take on the disk, sources and content. */
export function seedBytes(parts: ReadonlySet<SeedPart>, scale: Scale): number {
  const blobs = (Object.keys(BLOBS) as SeedPart[])
    .filter((part) => parts.has(part))
    .flatMap((part) => BLOBS[part]?.(scale) ?? []);
  // Each small file takes a block, and each tag and repository several folders.
  const entries = 3 * scale.tags + 6 * scale.repositories + 3 * scale.referrers;
  return 2 * blobs.reduce((sum, size) => sum + size, 0) + entries * 8 * 4096;
}

/** Sizes of the blobs of a part. */
const BLOBS: Readonly<Partial<Record<SeedPart, (scale: Scale) => number[]>>> = {
  small: () => [SMALL_BYTES],
  big: ({ bigBytes }) => [bigBytes],
  streams: ({ streamBytes }) => repeat(streamBytes, STREAMS),
  image: ({ layerBytes }) => repeat(layerBytes, LAYERS),
  'push-big': ({ bigBytes }) => [bigBytes],
  'push-streams': ({ pushStreamBytes }) => repeat(pushStreamBytes, STREAMS),
  'push-load': () => repeat(LOAD_BYTES, LOAD_BLOBS),
  'push-warm': ({ pushStreamBytes }) => [Math.min(WARM_BYTES, pushStreamBytes)],
};

/** Makes the parts: files of random bytes, and what is pushed through our server, which does not wait for the disk. */
export async function makeSeed(
  folder: string,
  parts: ReadonlySet<SeedPart>,
  { scale, programs }: { scale: Scale; programs: Programs },
): Promise<Seed> {
  const blobs: Partial<Record<SeedPart, BlobFile[]>> = {};
  for (const part of parts) {
    const sizes = BLOBS[part]?.(scale) ?? [];
    const files = sizes.map((size, index) => writeBlob(join(folder, `${part}-${index}`), size));
    blobs[part] = await Promise.all(files);
  }
  const seed = { root: join(folder, 'seed'), rootTwice: join(folder, 'seed-twice'), blobs, digests: {} };
  const twice: ReadonlySet<SeedPart> = new Set(['repositories-twice']);
  await push(seed.root, parts.difference(twice), { seed, scale, programs, folder });
  await push(seed.rootTwice, parts.intersection(twice), { seed, scale, programs, folder });
  return seed;
}

interface PushContext {
  readonly seed: Seed & { digests: Partial<Record<SeedPart, string>> };
  readonly scale: Scale;
  readonly programs: Programs;
  readonly folder: string;
}

async function push(root: string, parts: ReadonlySet<SeedPart>, context: PushContext): Promise<void> {
  const { seed, scale, programs, folder } = context;
  if (parts.size === 0) return;
  const server = await startSubject('ours', {
    folder: join(folder, 'seeder'),
    root,
    programs,
    sync: 'Never',
  });
  try {
    for (const part of parts) {
      const blobs = blobArguments(seed.blobs[part] ?? []);
      for (const args of COMMANDS[part]?.(scale, blobs) ?? []) {
        const [verb = '', ...rest] = args;
        const said = JSON.parse(await loadgen([verb, '-base', server.url, ...rest])) as { digest?: string };
        keepFirst(seed.digests, part, said.digest);
      }
    }
  } finally {
    await server.process.stop();
  }
}

function keepFirst(
  digests: Partial<Record<SeedPart, string>>,
  part: SeedPart,
  digest: string | undefined,
): void {
  if (digest !== undefined) digests[part] ??= digest;
}

/** What is pushed for a part, in commands of the load generator without the URL. */
const COMMANDS: Readonly<Partial<Record<SeedPart, (scale: Scale, blobs: string[]) => string[][]>>> = {
  small: (_, blobs) => [['seed', '-what', 'image', '-repo', REPOSITORIES.small, ...blobs]],
  image: (_, blobs) => [['seed', '-what', 'image', '-repo', REPOSITORIES.image, ...blobs]],
  big: (_, blobs) => [['push', '-repo', REPOSITORIES.big, ...blobs]],
  streams: (_, blobs) => [['push', '-repo', REPOSITORIES.streams, ...blobs]],
  tags: ({ tags }) => [many('tags', REPOSITORIES.tags, tags)],
  referrers: ({ referrers }) => [many('referrers', REPOSITORIES.referrers, referrers)],
  twice: ({ tags, referrers }) => [
    many('referrers', REPOSITORIES.referrersTwice, 2 * referrers),
    many('tags', REPOSITORIES.tagsTwice, 2 * tags),
  ],
  repositories: ({ repositories }) => [many('repositories', REPOSITORIES.many, repositories)],
  'repositories-twice': ({ repositories }) => [many('repositories', REPOSITORIES.many, 2 * repositories)],
};

function many(what: string, repository: string, count: number): string[] {
  return ['seed', '-what', what, '-repo', repository, '-n', String(count), '-c', String(CLIENTS)];
}

/** In the words of the load generator. */
export function blobArguments(files: readonly BlobFile[]): string[] {
  return files.map(({ path, digest, size }) => `${path},${digest},${size}`);
}

/** Random bytes of which every block begins differently: files differ, and cost little to make. */
async function writeBlob(path: string, size: number): Promise<BlobFile> {
  const hash = createHash('sha256');
  const file = await open(path, 'w');
  try {
    const block = Buffer.from(BLOCK);
    for (let written = 0; written < size; written += block.length) {
      randomFillSync(block, 0, 64);
      const piece = block.subarray(0, Math.min(block.length, size - written));
      hash.update(piece);
      await file.write(piece);
    }
  } finally {
    await file.close();
  }
  return { path, digest: `sha256:${hash.digest('hex')}`, size };
}

function repeat(size: number, times: number): number[] {
  return Array.from({ length: times }, () => size);
}
