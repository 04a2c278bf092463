import { describe, expect, test } from 'vitest';

import { createMemoryDriver } from '../storage/drivers/memory.ts';
import type { Descriptor } from './descriptor.ts';
import { blobDataKey } from './layout.ts';
import { OCI_INDEX } from './media-types.ts';
import { parseReference } from './reference.ts';
import { call, createTestRegistry, REPOSITORY, refusal, type TestRegistry } from './testing.ts';

function bound(target: object, property: string | symbol): unknown {
  const value: unknown = Reflect.get(target, property);
  return typeof value === 'function' ? value.bind(target) : value;
}

/** A registry that has one, and counts what is read of it. */
async function withLongIndex(): Promise<{
  readonly registry: TestRegistry;
  readonly index: Descriptor;
  readonly reads: () => number;
}> {
  const driver = createMemoryDriver();
  let reads = 0;
  const get: typeof driver.get = async (key, ...rest) => {
    const bytes = await driver.get(key, ...rest);
    if (bytes !== undefined && bytes.byteLength > 300_000) reads += 1;
    return bytes;
  };
  const registry = createTestRegistry(
    new Proxy(driver, { get: (target, property) => (property === 'get' ? get : bound(target, property)) }),
  );
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [],
      annotations: { padding: 'x'.repeat(400_000) },
    }),
  );
  const pushed = { contentType: OCI_INDEX, bytes };
  const index = await registry.manifests.put(REPOSITORY, parseReference('long'), pushed, call());
  return { registry, index, reads: () => reads };
}

describe('a manifest that is too long to be kept', () => {
  test('is described without being read once more', async () => {
    const { registry, index, reads } = await withLongIndex();
    const reference = parseReference('long');
    expect((await registry.manifests.get(REPOSITORY, reference, call())).descriptor).toEqual(index);
    const before = reads();

    expect(await registry.manifests.stat(REPOSITORY, reference, call())).toEqual(index);
    expect(await registry.manifests.stat(REPOSITORY, parseReference(index.digest), call())).toEqual(index);

    expect(reads()).toBe(before);
  });

  test('is read once for all who want it at the same time', async () => {
    const { registry, index, reads } = await withLongIndex();
    const before = reads();

    const found = await Promise.all(
      Array.from({ length: 20 }, () => registry.manifests.get(REPOSITORY, parseReference('long'), call())),
    );

    expect(new Set(found.map(({ bytes }) => bytes)).size).toBe(1);
    expect(found.every(({ descriptor }) => descriptor.digest === index.digest)).toBe(true);
    expect(reads() - before).toBe(1);
  });

  test('is looked at again when its content has changed', async () => {
    const { registry, index } = await withLongIndex();
    const reference = parseReference('long');
    await registry.manifests.get(REPOSITORY, reference, call());
    await registry.storage.put(blobDataKey(index.digest), Buffer.alloc(index.size + 1, 'x'), call());

    expect(await refusal(registry.manifests.stat(REPOSITORY, reference, call()))).toContain(
      'MANIFEST_UNKNOWN',
    );
    expect(await refusal(registry.manifests.get(REPOSITORY, reference, call()))).toContain(
      'MANIFEST_UNKNOWN',
    );
  });

  test('is unknown as soon as the repository has it no more', async () => {
    const { registry, index } = await withLongIndex();
    const reference = parseReference(index.digest);
    await registry.manifests.get(REPOSITORY, reference, call());
    await registry.manifests.delete(REPOSITORY, index.digest, call());

    expect(await refusal(registry.manifests.stat(REPOSITORY, reference, call()))).toContain(
      'MANIFEST_UNKNOWN',
    );
  });
});
