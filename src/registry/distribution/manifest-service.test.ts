import { describe, expect, test } from 'vitest';

import { createMemoryDriver } from '../storage/drivers/memory.ts';
import type { Descriptor } from './descriptor.ts';
import { DistributionError } from './errors.ts';
import { blobDataKey, layerLinkKey, revisionLinkKey, tagCurrentKey } from './layout.ts';
import { DOCKER_LIST, OCI_INDEX, OCI_MANIFEST } from './media-types.ts';
import { parseReference, parseRepositoryName, parseTag } from './reference.ts';
import {
  call,
  createTestRegistry,
  digestOf,
  imageManifest,
  keysOf,
  pushBlob,
  pushImage,
  REPOSITORY,
  refusal,
  type TestRegistry,
} from './testing.ts';

const OTHER = parseRepositoryName('library/busybox');

async function putImage(registry: TestRegistry, reference: string, more: object = {}): Promise<Descriptor> {
  const config = await pushBlob(registry, '{}');
  const pushed = { contentType: OCI_MANIFEST, bytes: imageManifest(config, [], more) };
  return registry.manifests.put(REPOSITORY, parseReference(reference), pushed, call());
}

async function put(registry: TestRegistry, document: object, contentType: string): Promise<string> {
  const bytes = Buffer.from(JSON.stringify(document));
  return refusal(registry.manifests.put(REPOSITORY, parseReference('t'), { contentType, bytes }, call()));
}

function indexOf(...manifests: readonly object[]): object {
  return { schemaVersion: 2, mediaType: OCI_INDEX, manifests };
}

describe('put and get', () => {
  test('give back the exact bytes, by tag and by digest', async () => {
    const registry = createTestRegistry();
    const config = await pushBlob(registry, '{}');
    const bytes = Buffer.from(`${imageManifest(config, []).toString()}\n\t  `);

    const descriptor = await registry.manifests.put(
      REPOSITORY,
      parseReference('latest'),
      { contentType: `${OCI_MANIFEST}; charset=utf-8`, bytes },
      call(),
    );

    expect(descriptor).toEqual({ mediaType: OCI_MANIFEST, digest: digestOf(bytes), size: bytes.byteLength });
    for (const reference of ['latest', digestOf(bytes)]) {
      const found = await registry.manifests.get(REPOSITORY, parseReference(reference), call());
      expect(found.descriptor).toEqual(descriptor);
      expect(Buffer.from(found.bytes).equals(bytes)).toBe(true);
      expect(await registry.manifests.stat(REPOSITORY, parseReference(reference), call())).toEqual(
        descriptor,
      );
    }
  });

  test('treat a sha512 manifest as any other', async () => {
    const registry = createTestRegistry();
    const config = await pushBlob(registry, '{}');
    const bytes = imageManifest(config, []);
    const digest = digestOf(bytes, 'sha512');

    const descriptor = await registry.manifests.put(
      REPOSITORY,
      parseReference(digest),
      { contentType: OCI_MANIFEST, bytes },
      call(),
    );

    expect(descriptor.digest).toBe(digest);
    expect(await registry.manifests.stat(REPOSITORY, parseReference(digest), call())).toEqual(descriptor);
    expect(await refusal(registry.manifests.stat(REPOSITORY, parseReference(digestOf(bytes)), call()))).toBe(
      'MANIFEST_UNKNOWN 404',
    );
    expect(await put(registry, indexOf(descriptor), OCI_INDEX)).toBe('accepted');
    await registry.manifests.delete(REPOSITORY, digest, call());
    expect(await refusal(registry.manifests.stat(REPOSITORY, parseReference(digest), call()))).toBe(
      'MANIFEST_UNKNOWN 404',
    );
  });

  test('refuse a manifest under the digest of another', async () => {
    const registry = createTestRegistry();
    const config = await pushBlob(registry, '{}');
    const pushed = { contentType: OCI_MANIFEST, bytes: imageManifest(config, []) };
    for (const algorithm of ['sha256', 'sha512'] as const) {
      const reference = parseReference(digestOf('x', algorithm));

      expect(await refusal(registry.manifests.put(REPOSITORY, reference, pushed, call()))).toBe(
        'DIGEST_INVALID 400',
      );
    }
  });

  test('may have a subject that does not exist', async () => {
    const registry = createTestRegistry();
    const config = await pushBlob(registry, '{}');
    const subject = { mediaType: OCI_MANIFEST, digest: digestOf('missing'), size: 7 };
    const pushed = { contentType: OCI_MANIFEST, bytes: imageManifest(config, [], { subject }) };

    const outcome = registry.manifests.put(REPOSITORY, parseReference('t'), pushed, call());

    expect(await refusal(outcome)).toBe('accepted');
  });

  test('tell the subject, whether it exists or not', async () => {
    const registry = createTestRegistry();
    const subject = { mediaType: OCI_MANIFEST, digest: digestOf('missing'), size: 7 };

    expect(await putImage(registry, 't', { subject })).toMatchObject({ subject: subject.digest });
    expect(await putImage(registry, 't')).not.toHaveProperty('subject');
  });

  test('point every tag to a manifest that is pushed by its digest', async () => {
    const registry = createTestRegistry();
    const config = await pushBlob(registry, '{}');
    const bytes = imageManifest(config, []);
    const digest = digestOf(bytes, 'sha512');
    const tags = Array.from({ length: 64 }, (_, index) => parseTag(`v${index}`));

    const pushed = { contentType: OCI_MANIFEST, bytes, tags };
    await registry.manifests.put(REPOSITORY, parseReference(digest), pushed, call());

    for (const tag of tags) {
      const found = await registry.manifests.get(REPOSITORY, { kind: 'tag', tag }, call());
      expect(found.descriptor.digest).toBe(digest);
    }
    expect((await registry.tags.list(REPOSITORY, {}, call())).tags).toEqual(tags.toSorted());
    await registry.manifests.delete(REPOSITORY, digest, call());
    expect((await registry.tags.list(REPOSITORY, {}, call())).tags).toEqual([]);
  });

  test('leave nothing behind when the manifest is refused', async () => {
    const registry = createTestRegistry();
    await pushBlob(registry, '{}');
    const before = await keysOf(registry.storage);

    expect(
      await put(registry, indexOf({ mediaType: OCI_MANIFEST, digest: digestOf('x'), size: 1 }), OCI_INDEX),
    ).toBe('MANIFEST_BLOB_UNKNOWN 400');
    expect(await put(registry, { schemaVersion: 2 }, OCI_INDEX)).toBe('MANIFEST_INVALID 400');

    expect(await keysOf(registry.storage)).toEqual(before);
  });

  test('write content, revision and tag in the order in which they depend on each other', async () => {
    const storage = createMemoryDriver();
    const written: string[] = [];
    const recorded = new Proxy(storage, {
      get: (target, property) => {
        const value: unknown = Reflect.get(target, property);
        if (typeof value !== 'function') return value;
        return (...parameters: readonly unknown[]): unknown => {
          if (property === 'put') written.push(String(parameters[0]));
          return Reflect.apply(value, target, parameters);
        };
      },
    });
    const registry = createTestRegistry(recorded);
    await pushBlob(registry, '{}');
    written.length = 0;

    const subject = { mediaType: OCI_MANIFEST, digest: digestOf('missing'), size: 7 };
    const { digest } = await putImage(registry, 'latest', { subject });

    const kinds = written.map((key) =>
      key
        .replace(/^.*\/(?=_manifests|_referrers|blobs)/, '')
        .replace(/[0-9a-f]{64}|\/[0-9a-f]{2}(?=\/)/g, ''),
    );
    expect(kinds.slice(-5)).toEqual([
      'blobs/sha256//data',
      '_manifests/revisions/sha256//link',
      '_referrers/sha256//sha256/',
      '_manifests/tags/latest/current/link',
      '_manifests/tags/latest/index/sha256//link',
    ]);
    expect(written.at(-3)).toContain(digest.slice(7));
  });
});

describe('referenced content', () => {
  test('must be in the repository, and what is missing is named', async () => {
    const registry = createTestRegistry();
    const config = await pushBlob(registry, '{}');
    const elsewhere = await pushBlob(registry, 'layer', OTHER);
    const missing = { mediaType: 'a/b', digest: digestOf('nowhere'), size: 3 };
    const bytes = imageManifest(config, [elsewhere, missing]);

    const outcome = registry.manifests.put(
      REPOSITORY,
      parseReference('t'),
      { contentType: OCI_MANIFEST, bytes },
      call(),
    );

    const error: unknown = await outcome.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DistributionError);
    expect(error).toMatchObject({
      code: 'MANIFEST_BLOB_UNKNOWN',
      detail: [{ digest: elsewhere.digest }, { digest: missing.digest }],
    });
  });

  test('must have its bytes, not only its link', async () => {
    const registry = createTestRegistry();
    const layer = await pushBlob(registry, 'layer');
    await registry.storage.delete([blobDataKey(layer.digest)]);

    expect(await put(registry, { schemaVersion: 2, config: layer, layers: [] }, OCI_MANIFEST)).toBe(
      'MANIFEST_BLOB_UNKNOWN 400',
    );
  });

  test('may be elsewhere when the manifest says where', async () => {
    const registry = createTestRegistry();
    const config = await pushBlob(registry, '{}');
    const foreign = {
      mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
      digest: digestOf('foreign'),
      size: 1,
    };
    const image = (layer: object): object => ({ schemaVersion: 2, config, layers: [layer] });

    expect(
      await put(registry, image({ ...foreign, urls: ['https://example.com/layer'] }), OCI_MANIFEST),
    ).toBe('accepted');
    expect(await put(registry, image({ ...foreign, urls: [] }), OCI_MANIFEST)).toBe('accepted');
    expect(await put(registry, image({ ...foreign, mediaType: 'a/b', urls: [] }), OCI_MANIFEST)).toBe(
      'MANIFEST_BLOB_UNKNOWN 400',
    );
  });

  test('of an index are manifests of this repository', async () => {
    const registry = createTestRegistry();
    const child = await pushImage(registry, 'child');
    const stranger = await pushImage(registry, 'child', { name: OTHER, salt: 'other' });
    const blob = await pushBlob(registry, 'blob');

    expect(await put(registry, indexOf(child), OCI_INDEX)).toBe('accepted');
    expect(await put(registry, indexOf(), OCI_INDEX)).toBe('accepted');
    expect(await put(registry, { ...indexOf(child), mediaType: DOCKER_LIST }, DOCKER_LIST)).toBe('accepted');
    expect(await put(registry, indexOf(stranger), OCI_INDEX)).toBe('MANIFEST_BLOB_UNKNOWN 400');
    expect(await put(registry, indexOf({ ...blob, mediaType: OCI_MANIFEST }), OCI_INDEX)).toBe(
      'MANIFEST_BLOB_UNKNOWN 400',
    );
    expect(await put(registry, indexOf(blob), OCI_INDEX)).toBe('accepted');
  });

  test('may be missing where that is allowed, which is told', async () => {
    const registry = createTestRegistry();
    const config = await pushBlob(registry, '{}');
    const missing = [1, 2].map((size) => ({ mediaType: 'a/b', digest: digestOf(`${size}`), size }));
    const sparse = async (bytes: Buffer, contentType: string, allowSparse = true): Promise<unknown> => {
      const pushed = { contentType, bytes, allowSparse };
      return (await registry.manifests.put(REPOSITORY, parseReference('t'), pushed, call())).missing;
    };
    const index = Buffer.from(JSON.stringify(indexOf({ ...config, mediaType: OCI_MANIFEST })));

    expect(await sparse(imageManifest(config, missing), OCI_MANIFEST)).toMatchObject({
      descriptors: [{ size: 1 }, { size: 2 }],
      more: false,
      required: 3,
    });
    expect(await sparse(imageManifest(config, []), OCI_MANIFEST)).toBeUndefined();
    expect(await sparse(index, OCI_INDEX)).toMatchObject({ more: false, required: 1 });
    expect(await refusal(sparse(index, OCI_INDEX, false))).toBe('MANIFEST_BLOB_UNKNOWN 400');
    const many = Array.from({ length: 200 }, (_, size) => ({
      mediaType: 'a/b',
      digest: digestOf(`${size}`),
      size,
    }));
    expect(await sparse(imageManifest(config, many), OCI_MANIFEST)).toMatchObject({
      descriptors: { length: 64 },
      more: true,
      required: 201,
    });
  });

  test('is reported up to a bound', async () => {
    const registry = createTestRegistry();
    const config = await pushBlob(registry, '{}');
    const layers = Array.from({ length: 5000 }, (_, size) => ({
      mediaType: 'a/b',
      digest: digestOf(`${size}`),
      size,
    }));
    const bytes = imageManifest(config, layers);

    const outcome = registry.manifests.put(
      REPOSITORY,
      parseReference('t'),
      { contentType: OCI_MANIFEST, bytes },
      call(),
    );

    const error: unknown = await outcome.catch((thrown: unknown) => thrown);
    const detail: unknown = error instanceof DistributionError ? error.detail : [];
    expect(Array.isArray(detail) ? detail.length : 0).toBeLessThan(100);
  });
});

describe('delete', () => {
  test('removes the manifest and every tag that points to it, and nothing else', async () => {
    const registry = createTestRegistry();
    const first = await pushImage(registry, 'a', { salt: '1' });
    await pushImage(registry, 'b', { salt: '1' });
    const second = await pushImage(registry, 'c', { salt: '2' });
    await pushImage(registry, 'moved', { salt: '1' });
    await pushImage(registry, 'moved', { salt: '2' });

    await registry.manifests.delete(REPOSITORY, first.digest, call());

    expect(await registry.tags.list(REPOSITORY, {}, call())).toEqual({ tags: ['c', 'moved'], more: false });
    for (const reference of ['a', 'b', first.digest]) {
      expect(await refusal(registry.manifests.get(REPOSITORY, parseReference(reference), call()))).toBe(
        'MANIFEST_UNKNOWN 404',
      );
    }
    expect(await registry.manifests.stat(REPOSITORY, parseReference('moved'), call())).toEqual(second);
    expect(await refusal(registry.manifests.delete(REPOSITORY, first.digest, call()))).toBe(
      'MANIFEST_UNKNOWN 404',
    );
  });

  test('leaves a tag that is moved to another manifest at that moment', async () => {
    const storage = createMemoryDriver();
    const registry = createTestRegistry(storage);
    const old = await putImage(registry, 'latest', { annotations: { is: 'old' } });
    const get = storage.get.bind(storage);
    const current = tagCurrentKey(REPOSITORY, parseTag('latest'));
    let moved: Promise<Descriptor> | undefined;
    storage.get = async (key, ...rest) => {
      const link = await get(key, ...rest);
      if (key === current && moved === undefined) {
        moved = putImage(registry, 'latest', { annotations: { is: 'new' } });
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return link;
    };

    await registry.manifests.delete(REPOSITORY, old.digest, call());

    const found = await registry.manifests.stat(REPOSITORY, parseReference('latest'), call());
    expect(found).toEqual(await moved);
  });

  test('gives way to a push of the same manifest by another replica', async () => {
    const storage = createMemoryDriver();
    const [registry, other] = [createTestRegistry(storage), createTestRegistry(storage)];
    const { digest } = await putImage(registry, 'old');
    const write = storage.put.bind(storage);
    let deleted = false;
    storage.put = async (key, ...rest) => {
      const written = await write(key, ...rest);
      if (key === tagCurrentKey(REPOSITORY, parseTag('new')) && !deleted) {
        deleted = true;
        // Too late for the tags of the push, in time for its link.
        await storage.delete([revisionLinkKey(REPOSITORY, digest)]);
      }
      return written;
    };

    await putImage(other, 'new');

    expect(deleted).toBe(true);
    expect(await registry.manifests.stat(REPOSITORY, parseReference('new'), call())).toMatchObject({
      digest,
    });
  });

  test('lets a push of the same manifest wait for its end', async () => {
    const registry = createTestRegistry();
    const { digest } = await putImage(registry, 'old');
    const remove = registry.storage.delete.bind(registry.storage);
    let pushed: Promise<Descriptor> | undefined;
    registry.storage.delete = async (keys, options) => {
      if (keys[0] === revisionLinkKey(REPOSITORY, digest)) {
        pushed ??= putImage(registry, 'new');
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return remove(keys, options);
    };

    await registry.manifests.delete(REPOSITORY, digest, call());
    await pushed;

    expect(pushed).toBeDefined();
    expect(await registry.manifests.stat(REPOSITORY, parseReference('new'), call())).toMatchObject({
      digest,
    });
    expect((await registry.tags.list(REPOSITORY, {}, call())).tags).toEqual(['new']);
  });

  test('does not touch the same manifest of another repository', async () => {
    const registry = createTestRegistry();
    const { digest } = await pushImage(registry, 'a');
    await pushImage(registry, 'a', { name: OTHER });

    await registry.manifests.delete(REPOSITORY, digest, call());

    expect(await refusal(registry.manifests.get(OTHER, parseReference('a'), call()))).toBe('accepted');
  });
});

describe('two replicas', () => {
  test('see at once what the other did', async () => {
    const storage = createMemoryDriver();
    const one = createTestRegistry(storage);
    const other = createTestRegistry(storage);
    const first = await pushImage(one, 'latest', { salt: '1' });
    expect(await other.manifests.stat(REPOSITORY, parseReference('latest'), call())).toEqual(first);

    const second = await pushImage(other, 'latest', { salt: '2' });

    expect(await one.manifests.stat(REPOSITORY, parseReference('latest'), call())).toEqual(second);
    await other.manifests.delete(REPOSITORY, second.digest, call());
    expect(await refusal(one.manifests.get(REPOSITORY, parseReference(second.digest), call()))).toBe(
      'MANIFEST_UNKNOWN 404',
    );
    expect(await refusal(one.manifests.get(REPOSITORY, parseReference('latest'), call()))).toBe(
      'MANIFEST_UNKNOWN 404',
    );
  });
});

describe('a push that another replica undoes half-way', () => {
  test('points its tags again to the manifest that it links again', async () => {
    const storage = createMemoryDriver();
    const [one, other] = [createTestRegistry(storage), createTestRegistry(storage)];
    const { digest } = await pushImage(other, 'old');
    const bytes = imageManifest(await pushBlob(other, '{"salt":""}'), [await pushBlob(other, 'layer ')]);
    const write = storage.put.bind(storage);
    let moves = 0;
    storage.put = async (key, ...rest) => {
      const result = await write(key, ...rest);
      if (key === tagCurrentKey(REPOSITORY, parseTag('new')) && moves++ === 0) {
        await other.manifests.delete(REPOSITORY, digest, call());
      }
      return result;
    };

    await one.manifests.put(REPOSITORY, parseReference('new'), { contentType: OCI_MANIFEST, bytes }, call());

    // The first is undone; the second is the tag's own, which looks for that; the third comes with the new link.
    expect(moves).toBe(3);
    expect(await other.manifests.stat(REPOSITORY, parseReference('new'), call())).toMatchObject({ digest });
    expect(await refusal(other.manifests.stat(REPOSITORY, parseReference('old'), call()))).toBe(
      'MANIFEST_UNKNOWN 404',
    );
  });
});

describe('a damaged store', () => {
  test('hides a tag whose link is empty or no digest', async () => {
    const registry = createTestRegistry();
    await pushImage(registry, 'a');
    for (const text of ['', 'garbage', `${digestOf('x')}\n`, 'x'.repeat(5000)]) {
      await registry.storage.put(tagCurrentKey(REPOSITORY, parseTag('a')), Buffer.from(text));

      expect(await refusal(registry.manifests.get(REPOSITORY, parseReference('a'), call()))).toBe(
        'MANIFEST_UNKNOWN 404',
      );
    }
    expect(registry.warnings).toContain('ignoring a corrupt link');
  });

  test('hides a manifest without content, and one of schema 1', async () => {
    const registry = createTestRegistry();
    const gone = await pushImage(registry, 'gone');
    await registry.storage.delete([blobDataKey(gone.digest)]);
    const old = JSON.stringify({ schemaVersion: 1, fsLayers: [] });
    await registry.storage.put(blobDataKey(digestOf(old)), Buffer.from(old));
    await registry.storage.put(revisionLinkKey(REPOSITORY, digestOf(old)), Buffer.from(digestOf(old)));

    for (const digest of [gone.digest, digestOf(old)]) {
      expect(await refusal(registry.manifests.get(REPOSITORY, parseReference(digest), call()))).toBe(
        'MANIFEST_UNKNOWN 404',
      );
    }
    expect(registry.warnings).toHaveLength(2);
  });

  test('hides a manifest whose bytes have changed, until it is pushed once more', async () => {
    const registry = createTestRegistry();
    const { digest } = await pushImage(registry, 'a');
    const key = blobDataKey(digest);
    const sound = (await registry.storage.get(key, 10_000)) ?? Buffer.of();
    await registry.storage.put(
      key,
      Buffer.from(sound).map((byte) => (byte === 0x32 ? 0x31 : byte)),
    );
    const reader = createTestRegistry(registry.storage);

    const before = await refusal(reader.manifests.get(REPOSITORY, parseReference('a'), call()));
    await reader.manifests.put(
      REPOSITORY,
      parseReference('a'),
      { contentType: OCI_MANIFEST, bytes: sound },
      call(),
    );

    expect(before).toBe('MANIFEST_UNKNOWN 404');
    expect(reader.warnings).toContain('a stored manifest is damaged and not served');
    const { bytes } = await reader.manifests.get(REPOSITORY, parseReference('a'), call());
    expect(Buffer.from(bytes)).toEqual(Buffer.from(sound));
  });

  test('serves what an older server took and we would not', async () => {
    const registry = createTestRegistry();
    const text = `{"schemaVersion":2,"layers":[],"layers":[],"config":{},"mediaType":"${OCI_MANIFEST}"}`;
    await registry.storage.put(blobDataKey(digestOf(text)), Buffer.from(text));
    await registry.storage.put(revisionLinkKey(REPOSITORY, digestOf(text)), Buffer.from(digestOf(text)));

    const { descriptor } = await registry.manifests.get(REPOSITORY, parseReference(digestOf(text)), call());

    expect(descriptor.mediaType).toBe(OCI_MANIFEST);
  });

  test('serves a manifest that is longer than this one takes, up to 64 MiB', async () => {
    const registry = createTestRegistry();
    for (const [size, outcome] of [
      [5 << 20, 'accepted'],
      [64 << 20, 'accepted'],
      [(64 << 20) + 1, 'MANIFEST_UNKNOWN 404'],
    ] as const) {
      const bytes = Buffer.alloc(size, ' ');
      Buffer.from(`{"schemaVersion":2,"mediaType":"${OCI_MANIFEST}"}`).copy(bytes);
      const digest = digestOf(`${size}`);
      await registry.storage.put(blobDataKey(digest), bytes);
      await registry.storage.put(revisionLinkKey(REPOSITORY, digest), Buffer.from(digest));

      expect(await refusal(registry.manifests.get(REPOSITORY, parseReference(digest), call()))).toBe(outcome);
    }
    expect(registry.warnings).toEqual(['a manifest is too long to be served']);
  });

  test('a layer link alone makes no manifest', async () => {
    const registry = createTestRegistry();
    const blob = await pushBlob(registry, imageManifest(await pushBlob(registry, '{}'), []));

    expect(await registry.storage.stat(layerLinkKey(REPOSITORY, blob.digest))).toBeDefined();
    expect(await refusal(registry.manifests.get(REPOSITORY, parseReference(blob.digest), call()))).toBe(
      'MANIFEST_UNKNOWN 404',
    );
  });
});
