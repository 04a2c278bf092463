import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { BufferPool } from '../storage/buffer-pool.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { createFilesystemDriver } from '../storage/drivers/filesystem.ts';
import { createMemoryDriver } from '../storage/drivers/memory.ts';
import type { Descriptor } from './descriptor.ts';
import type { Digest, DigestAlgorithm } from './digest.ts';
import {
  blobDataKey,
  referrerKey,
  referrersCompleteKey,
  referrersPrefix,
  revisionLinkKey,
  tagCurrentKey,
} from './layout.ts';
import { OCI_INDEX, OCI_MANIFEST } from './media-types.ts';
import { parseReference } from './reference.ts';
import { fallbackTag } from './referrer-fallback.ts';
import type { ReferrersRequest } from './referrer-service.ts';
import { call, createTestRegistry, digestOf, pushBlob, REPOSITORY, type TestRegistry } from './testing.ts';

const SUBJECT = digestOf('subject');
const SBOM = 'application/spdx+json';

interface ListedManifest {
  readonly digest: Digest;
  readonly artifactType?: string;
}

interface Listed {
  readonly manifests: readonly ListedManifest[];
  readonly last: Digest | undefined;
}

let registry: TestRegistry;

/** Text of an artifact without layers; its config is the blob `{}`. */
function artifact(subject: Digest | undefined, more: object = {}): Buffer {
  const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: digestOf('{}'), size: 2 };
  const about = subject && { subject: { mediaType: OCI_MANIFEST, digest: subject, size: 7 } };
  const document = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [], ...about, ...more };
  return Buffer.from(JSON.stringify(document));
}

async function push(
  bytes: Buffer,
  contentType = OCI_MANIFEST,
  algorithm: DigestAlgorithm = 'sha256',
): Promise<Digest> {
  const digest = digestOf(bytes, algorithm);
  await registry.manifests.put(REPOSITORY, parseReference(digest), { contentType, bytes }, call());
  return digest;
}

async function pushMany(count: number, subject = SUBJECT): Promise<Digest[]> {
  const pushed: Digest[] = [];
  for (let number = 0; number < count; number++) {
    pushed.push(await push(artifact(subject, { annotations: { number: `${number}` } })));
  }
  return pushed.toSorted();
}

/** As another server leaves it: content and link, no index. */
async function leave(bytes: Buffer): Promise<Digest> {
  const digest = digestOf(bytes);
  await registry.storage.put(blobDataKey(digest), bytes);
  await registry.storage.put(revisionLinkKey(REPOSITORY, digest), Buffer.from(digest));
  return digest;
}

/** Points the fallback tag of the subject to a list of these, as a client does. */
async function keepList(manifests: readonly object[], subject = SUBJECT): Promise<void> {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }));
  const digest = await leave(bytes);
  await registry.storage.put(tagCurrentKey(REPOSITORY, fallbackTag(subject)), Buffer.from(digest));
}

function entryOf(digest: Digest): object {
  return { mediaType: OCI_MANIFEST, digest, size: 1, artifactType: 'wrong/type' };
}

async function list(request: Partial<ReferrersRequest> = {}, subject = SUBJECT): Promise<Listed> {
  const page = await registry.referrers.list(REPOSITORY, subject, { artifactTypes: [], ...request }, call());
  return { manifests: page.manifests.map((json) => JSON.parse(json)), last: page.last };
}

async function digests(request: Partial<ReferrersRequest> = {}, subject = SUBJECT): Promise<Digest[]> {
  return (await list(request, subject)).manifests.map(({ digest }) => digest);
}

const BACK_ENDS: Record<string, () => Promise<{ driver: StorageDriver; end: () => Promise<void> }>> = {
  memory: async () => ({ driver: createMemoryDriver(), end: async () => undefined }),
  filesystem: async () => {
    const root = await mkdtemp(join(tmpdir(), 'referrers-'));
    const driver = await createFilesystemDriver({ root, buffers: new BufferPool(1 << 20) });
    return { driver, end: () => rm(root, { recursive: true }) };
  },
};

describe.each(Object.keys(BACK_ENDS))('on %s', (backEnd) => {
  let end: () => Promise<void>;

  beforeEach(async () => {
    const made = await BACK_ENDS[backEnd]?.();
    if (made === undefined) throw new Error(`no ${backEnd}`);
    registry = createTestRegistry(made.driver);
    end = made.end;
    await pushBlob(registry, '{}');
  });
  afterEach(() => end());

  test('a referrer is described by what it says of itself', async () => {
    const annotations = { 'org.example': 'ü "x"', ['__proto__']: 'p', lone: '\uD800' };
    const typed = await push(artifact(SUBJECT, { artifactType: SBOM, annotations }));
    const untyped = await push(artifact(SUBJECT));
    const child = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [], subject: { ...entryOf(SUBJECT) } };
    const index = await push(Buffer.from(JSON.stringify(child)), OCI_INDEX);
    const typedIndex = await push(Buffer.from(JSON.stringify({ ...child, artifactType: 'a/b' })), OCI_INDEX);

    const found = new Map((await list()).manifests.map((entry) => [entry.digest, entry]));

    expect([...found.keys()]).toEqual([typed, untyped, index, typedIndex].toSorted());
    expect(found.get(typed)).toMatchObject({ mediaType: OCI_MANIFEST, artifactType: SBOM });
    expect(JSON.stringify(found.get(typed))).toContain(JSON.stringify(annotations));
    expect(found.get(untyped)).toEqual({
      mediaType: OCI_MANIFEST,
      digest: untyped,
      size: artifact(SUBJECT).length,
      artifactType: 'application/vnd.oci.empty.v1+json',
    });
    expect(found.get(index)).toEqual({ mediaType: OCI_INDEX, digest: index, size: expect.any(Number) });
    expect(found.get(typedIndex)).toMatchObject({ artifactType: 'a/b' });
  });

  test('an unknown subject or repository has none, and asking leaves nothing behind', async () => {
    expect(await list()).toEqual({ manifests: [], last: undefined });

    expect(await registry.storage.stat(referrersCompleteKey(REPOSITORY))).toBeUndefined();
  });

  test('sha512 manifests and subjects are as good as others', async () => {
    const subject = digestOf('subject', 'sha512');
    const long = await push(artifact(subject), OCI_MANIFEST, 'sha512');
    const short = await push(artifact(subject));

    expect(await digests({}, subject)).toEqual([short, long]);
    expect(await digests({ n: 1 }, subject)).toEqual([short]);
    expect(await digests({ last: short }, subject)).toEqual([long]);
    expect(await digests()).toEqual([]);
    await registry.manifests.delete(REPOSITORY, long, call());
    expect(await digests({}, subject)).toEqual([short]);
  });

  test('a deleted referrer is gone at once, and its entry with it', async () => {
    const [kept, gone] = await pushMany(2);
    if (kept === undefined || gone === undefined) throw new Error('nothing pushed');
    expect(await digests()).toEqual([kept, gone]);

    await registry.manifests.delete(REPOSITORY, gone, call());

    expect(await digests()).toEqual([kept]);
    expect(await registry.storage.stat(referrerKey(REPOSITORY, SUBJECT, gone))).toBeUndefined();
    expect(await push(artifact(SUBJECT, { annotations: { number: '0' } }))).toBeDefined();
    expect(await push(artifact(SUBJECT, { annotations: { number: '1' } }))).toBeDefined();
    expect(await digests()).toEqual([kept, gone]);
  });

  test('one that another server has deleted is gone as well', async () => {
    const [kept, gone] = await pushMany(2);
    if (kept === undefined || gone === undefined) throw new Error('nothing pushed');
    expect(await digests()).toEqual([kept, gone]);

    await registry.storage.delete([revisionLinkKey(REPOSITORY, gone)]);

    expect(await digests()).toEqual([kept]);
  });

  test('deleting the subject deletes no referrer', async () => {
    const subject = await push(artifact(undefined));
    const referrer = await push(artifact(subject));

    await registry.manifests.delete(REPOSITORY, subject, call());

    expect(await digests({}, subject)).toEqual([referrer]);
  });

  test('an entry that lies is not believed', async () => {
    const other = await push(artifact(digestOf('another subject')));
    const plain = await push(artifact(undefined));
    for (const digest of [other, plain, digestOf('nothing')]) {
      await registry.referrerIndex.add(REPOSITORY, { subject: SUBJECT, referrer: digest }, call());
    }
    await registry.storage.put(
      referrerKey(REPOSITORY, SUBJECT, other),
      Buffer.from('{"mediaType":"application/x","annotations":1'),
    );

    expect(await digests()).toEqual([]);
  });

  test('content of another server is found at the first request, and then by the index', async () => {
    const left = [await leave(artifact(SUBJECT)), await leave(artifact(SUBJECT, { artifactType: SBOM }))];
    await leave(artifact(digestOf('another subject')));
    await leave(artifact(undefined));
    await leave(Buffer.from('no manifest'));
    await registry.storage.put(revisionLinkKey(REPOSITORY, digestOf('no content')), Buffer.from(''));

    expect(await digests()).toEqual(left.toSorted());

    expect(await registry.referrerIndex.isComplete(REPOSITORY, call())).toBe(true);
    const { entries } = await registry.storage.list(referrersPrefix(REPOSITORY, SUBJECT));
    expect(entries.map(({ name }) => name.replace('/', ':'))).toEqual(left.toSorted());
    expect(await digests()).toEqual(left.toSorted());
  });

  test('what clients kept under the fallback tag is merged, each once', async () => {
    const indexed = await pushMany(3);
    await list();
    const late = [await leave(artifact(SUBJECT, { artifactType: SBOM })), await leave(artifact(SUBJECT))];
    const strangers = [await leave(artifact(undefined)), await leave(artifact(digestOf('other')))];
    await keepList(
      [...indexed.slice(1), ...late, ...late, ...strangers, digestOf('deleted')].map((digest) =>
        typeof digest === 'string' ? entryOf(digest) : digest,
      ),
    );

    const all = [...indexed, ...late].toSorted();
    expect(await digests()).toEqual(all);
    expect((await list({ artifactTypes: [SBOM] })).manifests).toMatchObject([
      { digest: late[0], artifactType: SBOM },
    ]);
    const paged: Digest[] = [];
    for (let last: Digest | undefined, first = true; first || last !== undefined; first = false) {
      const page = await list({ n: 2, ...(last && { last }) });
      paged.push(...page.manifests.map(({ digest }) => digest));
      ({ last } = page);
    }
    expect(paged).toEqual(all);
  });

  test('a fallback tag with anything else is ignored, and told once', async () => {
    const [digest] = await pushMany(1);
    await list();
    for (const text of [
      '[]',
      '{"schemaVersion":2,"manifests":7}',
      '{"schemaVersion":2,"layers":[]}',
      '\u0000',
    ]) {
      const target = await leave(Buffer.from(text));
      await registry.storage.put(tagCurrentKey(REPOSITORY, fallbackTag(SUBJECT)), Buffer.from(target));
      registry.warnings.length = 0;

      expect(await digests()).toEqual([digest]);
      expect(await digests()).toEqual([digest]);
      expect(registry.warnings).toEqual([
        expect.stringMatching(/^ignoring a tag that should list referrers/),
      ]);
    }
    await keepList([null, 7, {}, { digest: 7 }, { digest: 'sha256:bad' }] as object[]);
    expect(await digests()).toEqual([digest]);
  });

  test('pages have at most 4 MiB, or one referrer', async () => {
    const annotations = { text: 'x'.repeat(1.5 * (1 << 20)) };
    const large: Digest[] = [];
    for (const number of ['1', '2', '3'])
      large.push(await push(artifact(SUBJECT, { annotations: { ...annotations, number } })));
    const huge = await push(artifact(digestOf('huge'), { annotations: { text: 'y'.repeat(5 << 20) } }));
    large.sort();

    const first = await list();

    expect(first.manifests.map(({ digest }) => digest)).toEqual(large.slice(0, 2));
    expect(first.last).toBe(large[1]);
    expect(await digests({ last: first.last ?? SUBJECT })).toEqual(large.slice(2));
    expect(await digests({}, digestOf('huge'))).toEqual([huge]);
  });
});

describe('pages', () => {
  beforeEach(async () => {
    registry = createTestRegistry();
    await pushBlob(registry, '{}');
  });

  test('are cut by n and last, which need not exist', async () => {
    const all = await pushMany(5);

    expect(await list({ n: 2 })).toMatchObject({ last: all[1] });
    expect(await digests({ n: 2 })).toEqual(all.slice(0, 2));
    expect(await list({ n: 5 })).toMatchObject({ last: undefined });
    expect(await list({ n: 0 })).toEqual({ manifests: [], last: undefined });
    expect(await digests({ n: 2 ** 53 })).toEqual(all);
    await registry.manifests.delete(REPOSITORY, all[1] ?? SUBJECT, call());
    expect(await digests({ last: all[1] ?? SUBJECT })).toEqual(all.slice(2));
  });

  test('end after many looks, and go on from there', async () => {
    const put = registry.storage.put.bind(registry.storage);
    for (let number = 0; number < 20_100; number++) {
      await put(referrerKey(REPOSITORY, SUBJECT, digestOf(`${number}`)), Buffer.from('gone'));
    }
    const digest = await push(artifact(SUBJECT), OCI_MANIFEST, 'sha512');
    await put(referrersCompleteKey(REPOSITORY), Buffer.from('1'));

    const first = await list();

    expect(first).toEqual({ manifests: [], last: expect.stringMatching(/^sha256:f/) });
    expect(await digests({ ...(first.last && { last: first.last }) })).toEqual([digest]);
  });

  test('hold every referrer once, whatever the filter and the page', async () => {
    const types = ['a/a', 'b/b', 'c/c'];
    const plan = fc.array(fc.constantFrom(...types), { minLength: 0, maxLength: 12 });
    const wanted = fc.uniqueArray(fc.constantFrom(...types, 'd/d'));
    let run = 0;
    await fc.assert(
      fc.asyncProperty(plan, wanted, fc.integer({ min: 1, max: 5 }), async (pushed, artifactTypes, n) => {
        const subject = digestOf(`${run++}`);
        const expected: Digest[] = [];
        for (const [number, artifactType] of pushed.entries()) {
          const digest = await push(
            artifact(subject, { artifactType, annotations: { number: `${number}` } }),
          );
          if (artifactTypes.length === 0 || artifactTypes.includes(artifactType)) expected.push(digest);
        }
        const found: Digest[] = [];
        let last: Digest | undefined;
        do {
          const page = await list({ n, artifactTypes, ...(last && { last }) }, subject);
          expect(page.manifests.length).toBeLessThanOrEqual(n);
          found.push(...page.manifests.map(({ digest }) => digest));
          ({ last } = page);
        } while (last !== undefined);

        expect(found).toEqual(expected.toSorted());
      }),
      { numRuns: 40 },
    );
  });
});

describe('the index', () => {
  beforeEach(async () => {
    registry = createTestRegistry();
    await pushBlob(registry, '{}');
  });

  test('is built once for requests that come together', async () => {
    for (let number = 0; number < 30; number++) {
      await leave(artifact(SUBJECT, { annotations: { number: `${number}` } }));
    }
    const list_ = registry.storage.list.bind(registry.storage);
    let scans = 0;
    registry.storage.list = async (prefix, options) => {
      if (prefix.endsWith('/revisions/')) scans++;
      return list_(prefix, options);
    };

    const lists = await Promise.all(Array.from({ length: 10 }, () => digests()));

    expect(lists.map(({ length }) => length)).toEqual(Array.from({ length: 10 }, () => 30));
    expect(scans).toBe(1);
    await digests();
    expect(scans).toBe(1);
    await registry.referrerIndex.rebuild(REPOSITORY, call());
    expect(await digests()).toHaveLength(30);
  });

  test('is not complete as long as something could not be read', async () => {
    await leave(artifact(SUBJECT));
    const get = registry.storage.get.bind(registry.storage);
    registry.storage.get = () => Promise.reject(new Error('broken'));
    await expect(list()).rejects.toThrow('broken');
    registry.storage.get = get;

    expect(await registry.referrerIndex.isComplete(REPOSITORY, call())).toBe(false);
    expect(await digests()).toHaveLength(1);
  });

  test('keeps the entry of a manifest that is pushed while another replica deletes it', async () => {
    const bytes = artifact(SUBJECT);
    const digest = await push(bytes);
    const other = createTestRegistry(registry.storage);
    const remove = registry.storage.delete.bind(registry.storage);
    let pushed: Promise<Descriptor> | undefined;
    registry.storage.delete = async (keys, options) => {
      // The other replica pushes between the link and the entry going.
      if (keys[0] === referrerKey(REPOSITORY, SUBJECT, digest)) {
        pushed = other.manifests.put(
          REPOSITORY,
          parseReference(digest),
          { contentType: OCI_MANIFEST, bytes },
          call(),
        );
        await pushed;
      }
      return remove(keys, options);
    };

    await registry.manifests.delete(REPOSITORY, digest, call());

    expect(pushed).toBeDefined();
    expect(await registry.storage.stat(referrerKey(REPOSITORY, SUBJECT, digest))).toBeDefined();
    expect(await digests()).toEqual([digest]);
  });

  test('gives way to a request that is cancelled', async () => {
    await leave(artifact(SUBJECT));
    const abort = new AbortController();
    const get = registry.storage.get.bind(registry.storage);
    registry.storage.get = async (...parameters) => {
      abort.abort(new Error('gone'));
      return get(...parameters);
    };

    await expect(registry.referrerIndex.rebuild(REPOSITORY, { signal: abort.signal })).rejects.toThrow(
      'gone',
    );

    registry.storage.get = get;
    expect(await digests()).toHaveLength(1);
  });
});

test('a fallback tag is algorithm and digits, cut to what a tag may have', () => {
  expect(fallbackTag(SUBJECT)).toBe(SUBJECT.replace(':', '-'));
  const long = digestOf('x', 'sha512');
  expect(fallbackTag(long)).toBe(`sha512-${long.slice(7, 71)}`);
});
