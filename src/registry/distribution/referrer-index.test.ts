import { mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { BufferPool } from '../storage/buffer-pool.ts';
import { createFilesystemDriver } from '../storage/drivers/filesystem.ts';
import type { Digest } from './digest.ts';
import { blobDataKey, referrerKey, revisionLinkKey } from './layout.ts';
import { OCI_MANIFEST } from './media-types.ts';
import { ReferrerIndex } from './referrer-index.ts';
import { call, digestOf, REPOSITORY } from './testing.ts';

const SUBJECT = digestOf('subject');

function artifact(note: string): Buffer {
  const subject = { mediaType: OCI_MANIFEST, digest: SUBJECT, size: 7 };
  const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: digestOf('{}'), size: 2 };
  const annotations = { note };
  return Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [], subject, annotations }),
  );
}

test('a manifest that was copied in with its old times is found by the next scan', async () => {
  const root = await mkdtemp(join(tmpdir(), 'referrer-index-'));
  try {
    const storage = await createFilesystemDriver({ root, buffers: new BufferPool(1 << 20), sync: false });
    const index = new ReferrerIndex({ storage });
    const copyIn = async (bytes: Buffer): Promise<Digest> => {
      const digest = digestOf(bytes);
      const link = revisionLinkKey(REPOSITORY, digest);
      await storage.put(blobDataKey(digest), bytes);
      await storage.put(link, Buffer.from(digest));
      const longAgo = new Date('2020-01-01T00:00:00Z');
      await utimes(join(root, link), longAgo, longAgo);
      return digest;
    };
    await copyIn(artifact('first'));
    await index.rebuild(REPOSITORY, call());

    const second = await copyIn(artifact('second'));
    await index.rebuild(REPOSITORY, call());

    expect(await storage.stat(referrerKey(REPOSITORY, SUBJECT, second))).toBeDefined();
  } finally {
    await rm(root, { recursive: true });
  }
});
