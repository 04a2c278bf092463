import { hash, randomUUID } from 'node:crypto';

import { errorMessage } from '../../shared/errors.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/drivers/memory.ts';
import { BlobService } from './blob-service.ts';
import type { ByteSource } from './byte-source.ts';
import { CatalogService } from './catalog-service.ts';
import type { Descriptor } from './descriptor.ts';
import { type Digest, type DigestAlgorithm, parseDigest } from './digest.ts';
import { createDigesters } from './digester-pool.ts';
import type { Digesters } from './digester.ts';
import { DistributionError } from './errors.ts';
import { ManifestService } from './manifest-service.ts';
import { OCI_MANIFEST } from './media-types.ts';
import { parseReference, parseRepositoryName, type RepositoryName } from './reference.ts';
import { ReferrerIndex } from './referrer-index.ts';
import { ReferrerService } from './referrer-service.ts';
import type { ServiceCall } from './service-dependencies.ts';
import { TagService } from './tag-service.ts';
import { type UploadBody, UploadService } from './upload-service.ts';

/** What the tests of this folder share: services over the memory driver, and content to push. */

export interface TestRegistry {
  readonly storage: StorageDriver;
  readonly digests: Digesters;
  readonly blobs: BlobService;
  readonly uploads: UploadService;
  readonly manifests: ManifestService;
  readonly tags: TagService;
  readonly catalog: CatalogService;
  readonly referrerIndex: ReferrerIndex;
  readonly referrers: ReferrerService;
  readonly warnings: string[];
}

/** Starts its thread when a test needs it, and does not keep the process alive. */
const digests = createDigesters({ threads: 1 });

/** One replica of a registry; give two of them the same storage. */
export function createTestRegistry(storage: StorageDriver = createMemoryDriver()): TestRegistry {
  const warnings: string[] = [];
  const dependencies = {
    storage: connectionTo(storage),
    digests,
    clock: { now: () => new Date('2026-11-21T10:00:00Z') },
    ids: { uuid: () => randomUUID() },
    logger: {
      debug: () => undefined,
      warn: (_fields: object, message: string) => void warnings.push(message),
    },
  };
  const referrerIndex = new ReferrerIndex(dependencies);
  return {
    storage,
    digests,
    warnings,
    referrerIndex,
    referrers: new ReferrerService({ ...dependencies, index: referrerIndex }),
    blobs: new BlobService(dependencies),
    uploads: new UploadService(dependencies),
    manifests: new ManifestService(dependencies),
    tags: new TagService(dependencies),
    catalog: new CatalogService(dependencies),
  };
}

/** The driver of another process: what this process keeps for each driver is not shared with other replicas. */
function connectionTo(storage: StorageDriver): StorageDriver {
  return new Proxy(storage, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** A call that nobody cancels. */
export function call(): ServiceCall {
  return { signal: new AbortController().signal };
}

export const REPOSITORY: RepositoryName = parseRepositoryName('library/alpine');

export function digestOf(bytes: Uint8Array | string, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return parseDigest(`${algorithm}:${hash(algorithm, bytes, 'hex')}`);
}

/** Repeatable bytes that are not all alike. */
export function someBytes(size: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let index = 0, state = seed; index < size; index++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[index] = state >>> 16;
  }
  return bytes;
}

/** A body in chunks of 64 KiB, as Node's HTTP server hands it out. */
export function bodyOf(bytes: Uint8Array | string, rest: Omit<UploadBody, 'data'> = {}): UploadBody {
  return { data: sourceOf(chunksOf(Buffer.from(bytes))), ...rest };
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.byteLength; start += 65_536) yield bytes.subarray(start, start + 65_536);
}

/** Sends some bytes, then breaks as an aborted request does. */
export function brokenAfter(bytes: Uint8Array): ByteSource {
  return sourceOf(
    (async function* () {
      yield* chunksOf(bytes);
      throw new Error('aborted');
    })(),
  );
}

/** The bytes of chunks, taken as they come. */
export function sourceOf(chunks: AsyncIterable<Uint8Array>): ByteSource {
  const iterator = chunks[Symbol.asyncIterator]();
  const closed = Promise.withResolvers<undefined>();
  let next: Promise<Uint8Array | undefined> | undefined;
  const take = async (): Promise<Uint8Array | undefined> => {
    const { done, value } = await iterator.next();
    return done === true ? undefined : value;
  };
  const peek = (): Promise<Uint8Array | undefined> => Promise.race([closed.promise, (next ??= take())]);
  const source: ByteSource = {
    ready: async () => (await peek()) !== undefined,
    fill: async (target) => {
      let filled = 0;
      // What comes before a failure is handed out before it.
      for (let chunk; filled < target.length && (chunk = await peek().catch(() => undefined));) {
        const part = chunk.subarray(0, target.length - filled);
        target.set(part, filled);
        filled += part.length;
        next = part.length < chunk.length ? Promise.resolve(chunk.subarray(part.length)) : undefined;
      }
      return filled;
    },
    close: () => closed.resolve(undefined),
  };
  return source;
}

export async function pushBlob(
  registry: TestRegistry,
  content: Uint8Array | string,
  name: RepositoryName = REPOSITORY,
): Promise<Descriptor> {
  return registry.uploads.push(name, digestOf(content), bodyOf(content), call());
}

const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip';

/** An OCI image manifest; its text is what is pushed. */
export function imageManifest(config: Descriptor, layers: readonly Descriptor[], more: object = {}): Buffer {
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { ...config, mediaType: 'application/vnd.oci.image.config.v1+json' },
    layers: layers.map((layer) => ({ ...layer, mediaType: LAYER_TYPE })),
    ...more,
  };
  return Buffer.from(JSON.stringify(manifest));
}

/** Pushes a config, a layer and an image made of them. */
export async function pushImage(
  registry: TestRegistry,
  reference: string,
  options: { readonly name?: RepositoryName; readonly salt?: string } = {},
): Promise<Descriptor> {
  const { name = REPOSITORY, salt = '' } = options;
  const config = await pushBlob(registry, `{"salt":"${salt}"}`, name);
  const layer = await pushBlob(registry, `layer ${salt}`, name);
  const pushed = { contentType: OCI_MANIFEST, bytes: imageManifest(config, [layer]) };
  const descriptor = await registry.manifests.put(name, parseReference(reference), pushed, call());
  return descriptor;
}

/** Code and status of what a call is refused with. */
export async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof DistributionError) return `${error.code} ${error.status}`;
    throw error;
  }
  return 'accepted';
}

/** The message of what a call fails with. */
export async function failureOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return errorMessage(error);
  }
  return 'none';
}

export async function contentOf(
  registry: TestRegistry,
  digest: Digest,
  name: RepositoryName = REPOSITORY,
): Promise<Buffer> {
  const { reader } = await registry.blobs.open(name, digest, undefined, call());
  const views: Uint8Array[] = [];
  for (let view = await reader.read(); view !== undefined; view = await reader.read()) {
    views.push(Uint8Array.from(view));
  }
  await reader.close();
  return Buffer.concat(views);
}

/** Every key that the storage has. */
export async function keysOf(storage: StorageDriver): Promise<string[]> {
  const { entries } = await storage.list('');
  return entries.map(({ name }) => name);
}
