import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { Digest, DigestAlgorithm } from '../../../src/registry/distribution/digest.ts';
import type { UploadId } from '../../../src/registry/distribution/names.ts';
import {
  bodyOf,
  call,
  contentOf,
  createTestRegistry,
  digestOf,
  keysOf,
  refusal,
  REPOSITORY,
  someBytes,
  type TestRegistry,
} from '../../../src/registry/distribution/testing.ts';
import { BufferPool } from '../../../src/registry/storage/buffer-pool.ts';
import type { StorageDriver } from '../../../src/registry/storage/driver.ts';
import { createFilesystemDriver } from '../../../src/registry/storage/drivers/filesystem.ts';
import { ownIdentity } from '../../../src/registry/storage/drivers/filesystem/process-identity.ts';
import { createMemoryDriver } from '../../../src/registry/storage/drivers/memory.ts';
import { createS3Driver } from '../../../src/registry/storage/drivers/s3.ts';
import { StorageError } from '../../../src/registry/storage/errors.ts';
import { scratchFolder } from '../../helpers/scratch-folder.ts';
import { type LastRequest, startDyingProxy } from '../../servers/dying-proxy.ts';
import { type S3Server, writeCredentials } from '../../servers/s3-server.ts';
import { startVersitygw } from '../../servers/versitygw.ts';
import { FAULTS, type Fault, isCrash, withFault } from './faulty-storage.ts';

/** One way to push a blob: what a client sends, and what it repeats when the end failed. */
interface Push {
  readonly title: string;
  readonly bytes: Buffer;
  readonly algorithm: DigestAlgorithm;
  /** Everything before the last request. */
  begin(registry: TestRegistry): Promise<UploadId>;
  finish(registry: TestRegistry, id: UploadId, digest: Digest): Promise<unknown>;
}

const BYTES = someBytes(150_000);
const HALF = 70_000;

function pushOf(title: string, steps: Pick<Push, 'begin' | 'finish'>, algorithm: DigestAlgorithm): Push {
  return { title: `${title}, ${algorithm}`, bytes: BYTES, algorithm, ...steps };
}

async function begin(registry: TestRegistry, bytes: Buffer): Promise<UploadId> {
  const { id } = await registry.uploads.start(REPOSITORY, call());
  if (bytes.length > 0) await registry.uploads.append(REPOSITORY, id, bodyOf(bytes), call());
  return id;
}

/** As docker does: everything in a chunk, then an empty PUT. */
function chunkFirst(bytes: Buffer): Pick<Push, 'begin' | 'finish'> {
  return {
    begin: (registry) => begin(registry, bytes),
    finish: (registry, id, digest) =>
      registry.uploads.complete({ repository: REPOSITORY, id }, digest, undefined, call()),
  };
}
const CHUNK_FIRST = chunkFirst(BYTES);
/** As most others do: nothing, then everything in a PUT. */
const WHOLE = {
  begin: (registry: TestRegistry) => begin(registry, BYTES.subarray(0, 0)),
  finish: (registry: TestRegistry, id: UploadId, digest: Digest) => {
    const body = bodyOf(BYTES, { length: BYTES.length });
    return registry.uploads.complete({ repository: REPOSITORY, id }, digest, body, call());
  },
};
/** A chunk, and the rest in a PUT that does not say where it begins. */
const LAST = {
  begin: (registry: TestRegistry) => begin(registry, BYTES.subarray(0, HALF)),
  finish: (registry: TestRegistry, id: UploadId, digest: Digest) => {
    const rest = BYTES.subarray(HALF);
    const body = bodyOf(rest, { length: rest.length });
    return registry.uploads.complete({ repository: REPOSITORY, id }, digest, body, call());
  },
};

const PUSHES = (['sha256', 'sha512'] as const).flatMap((algorithm) => [
  pushOf('a chunk and an empty PUT', CHUNK_FIRST, algorithm),
  pushOf('one PUT', WHOLE, algorithm),
  pushOf('a chunk and the rest in a PUT', LAST, algorithm),
]);

/** What became of one attempt to finish; a DIGEST_INVALID would be a lie. */
async function outcomeOf(attempt: Promise<unknown>): Promise<string> {
  try {
    return await refusal(attempt);
  } catch (error) {
    return error instanceof StorageError ? error.code : String(error);
  }
}

/** Two processes on one storage that begins empty. */
interface Storage {
  /** The one that has the fault, and that may die of it. */
  readonly first: StorageDriver;
  readonly other: StorageDriver;
}

const STORAGES = [
  {
    name: 'memory',
    faults: FAULTS.filter((fault) => !isCrash(fault)),
    open: async (): Promise<Storage> => {
      const storage = createMemoryDriver();
      return { first: storage, other: storage };
    },
  },
  {
    name: 'filesystem',
    faults: FAULTS,
    open: async (): Promise<Storage> => {
      const root = await mkdtemp(join(folder, 'root-'));
      const options = { root, buffers: new BufferPool(1 << 20), sync: false };
      // Holds locks as a process that has died since.
      const identity = { ...ownIdentity(), started: '1' };
      const first = await createFilesystemDriver({ ...options, identity });
      return { first, other: await createFilesystemDriver(options) };
    },
  },
];

let folder: string;
beforeAll(async () => {
  folder = await scratchFolder('recovery-');
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** Nobody sees anything but whole blobs; whatever else is left is an upload, or an index. */
async function expectWhole(registry: TestRegistry, push: Push): Promise<void> {
  const digest = digestOf(push.bytes, push.algorithm);
  expect((await contentOf(registry, digest)).equals(push.bytes)).toBe(true);
  const blobs = (await keysOf(registry.storage)).filter((key) => key.includes('/blobs/'));
  expect(blobs).toHaveLength(1);
}

/** Counts the calls that the last request of a push makes. */
async function countCalls(push: Push, { first, other }: Storage): Promise<number> {
  const counted = withFault(first, 'fails', Infinity);
  const id = await push.begin(createTestRegistry(other));
  await push.finish(createTestRegistry(counted.storage), id, digestOf(push.bytes, push.algorithm));
  return counted.calls();
}

/** One push with one fault, repeated by the same process or by another. */
async function recover(
  push: Push,
  { first, other }: Storage,
  { fault, at, isSame }: { fault: Fault; at: number; isSame: boolean },
): Promise<void> {
  const title = `call ${at} ${fault}, repeated ${isSame ? 'there' : 'elsewhere'}`;
  const digest = digestOf(push.bytes, push.algorithm);
  const { storage, close } = withFault(first, fault, at);
  const faulty = createTestRegistry(storage);
  const healthy = createTestRegistry(other);
  const id = await push.begin(healthy);
  expect(await outcomeOf(push.finish(faulty, id, digest)), `when ${title}`).toMatch(
    /^(accepted|UNAVAILABLE)$/,
  );

  expect(await outcomeOf(push.finish(isSame ? faulty : healthy, id, digest)), `when ${title}`).toBe(
    'accepted',
  );

  await expectWhole(healthy, push);
  await healthy.uploads.purge(new Date('2100-01-01T00:00:00Z'), call());
  const left = (await keysOf(other)).filter((key) => key.includes('/_uploads/'));
  expect(left, `when ${title}`).toEqual([]);
  await close();
}

describe.each(STORAGES)('the last request of an upload on $name storage', ({ open, faults }) => {
  test.each(PUSHES)('may be repeated after a fault of any call: $title', async (push) => {
    const calls = await countCalls(push, await open());
    expect(calls).toBeGreaterThan(4);
    for (const fault of faults) {
      for (let at = 1; at <= calls; at++) {
        await recover(push, await open(), { fault, at, isSame: false });
        if (!isCrash(fault)) await recover(push, await open(), { fault, at, isSame: true });
      }
    }
  });
});

describe('the last request of an upload on S3', () => {
  const BUCKET = 'recovery';
  let server: S3Server;
  let credentials: string;

  beforeAll(async () => {
    server = await startVersitygw({ buckets: [BUCKET] });
    credentials = join(folder, 'credentials');
    await writeCredentials(server, credentials);
  });
  afterAll(() => server.stop());

  function open(endpoint: string, prefix: string): StorageDriver {
    const buffers = new BufferPool(64 << 20);
    const addressing = { bucket: BUCKET, addressingStyle: 'Auto' } as const;
    return createS3Driver({ endpoint, prefix, credentialsDirectory: credentials, buffers, ...addressing });
  }

  /** @returns requests that the process made until it died, or finished */
  async function dieAt(push: Push, at: number, last: LastRequest): Promise<number> {
    const title = `request ${at} ${last}`;
    const prefix = `${push.algorithm}-${push.bytes.length}-${at}-${last}`;
    const digest = digestOf(push.bytes, push.algorithm);
    const proxy = await startDyingProxy(server.endpoint, { at, last });
    const storages = [open(proxy.endpoint, prefix), open(server.endpoint, prefix)] as const;
    const [dying, healthy] = storages.map((storage) => createTestRegistry(storage));
    if (dying === undefined || healthy === undefined) throw new Error('both were made');
    const id = await push.begin(healthy);
    await Promise.race([outcomeOf(push.finish(dying, id, digest)), proxy.dead]);

    const outcomes = [await outcomeOf(push.finish(healthy, id, digest))];
    // This process has seen the first bytes, and finds that another one did something with them.
    if (outcomes[0] === 'RANGE_INVALID 416') outcomes.push(await outcomeOf(push.finish(healthy, id, digest)));
    expect(outcomes.at(-1), `when ${title}`).toBe('accepted');

    await expectWhole(healthy, push);
    await healthy.uploads.purge(new Date('2100-01-01T00:00:00Z'), call());
    expect(await unfinished(prefix), `when ${title}`).toEqual([]);
    await proxy.stop();
    for (const storage of storages) await storage.close();
    return proxy.requests;
  }

  /** Everything below `_uploads/` and every multipart upload, seen past the driver. */
  async function unfinished(prefix: string): Promise<string[]> {
    const { endpoint, region, accessKeyId, secretAccessKey } = server;
    const client = new S3Client({
      endpoint,
      region,
      credentials: { accessKeyId, secretAccessKey },
      forcePathStyle: true,
    });
    const input = { Bucket: BUCKET, Prefix: `${prefix}/` };
    const { Contents = [] } = await client.send(new ListObjectsV2Command(input));
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand(input));
    client.destroy();
    return [...Contents, ...Uploads].map(({ Key = '' }) => Key).filter((key) => key.includes('/_uploads/'));
  }

  const large = someBytes(9 << 20);

  test.each([
    pushOf('small, a chunk and an empty PUT', CHUNK_FIRST, 'sha256'),
    { ...pushOf('of several parts', chunkFirst(large), 'sha256'), bytes: large },
    pushOf('a chunk and the rest in a PUT', LAST, 'sha512'),
  ])('may be repeated elsewhere when the process dies at any request: $title', async (push) => {
    const requests = await dieAt(push, 1_000_000, 'lost');
    expect(requests).toBeGreaterThan(5);
    for (let at = 1; at <= requests; at++) {
      await Promise.all([dieAt(push, at, 'lost'), dieAt(push, at, 'received')]);
    }
  });
});
