import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import type { RegistryConfigInput } from '../../../src/api/registry-config.ts';
import {
  type DistributionProgram,
  type DistributionStorage,
  type OtherRegistry,
  startDistribution,
  unreferencedBlobs,
} from '../../servers/distribution.ts';
import { startRegistry, type TestRegistry } from '../../servers/registry.ts';
import { sha256 } from './content.ts';
import {
  addReferrer,
  catalogOf,
  type Content,
  digestsInUse,
  finishUpload,
  problemsOf,
  readBytes,
  referrersOf,
  type Stored,
  writeContent,
  writeSha512Manifest,
} from './cross-reading.ts';

/** A catalog is compared with the content soon after the start, not at once. */
const SOON = { timeout: 15_000, interval: 200 };

/** One place that both registries keep their content in. */
export interface SharedStore {
  readonly ours: RegistryConfigInput['storage'];
  readonly theirs: DistributionStorage;
}

export interface CrossReading {
  readonly program: DistributionProgram;
  /** Makes an empty store. @param folder to put something in */
  readonly newStore: (folder: string) => Promise<SharedStore>;
  /** Whether the bytes of an upload that they have not finished can be found by us; else it starts from nothing. */
  readonly showsUploads: boolean;
}

/** What must hold when two registries work on the same store, one after the other or together. */
export function testCrossReading({ program, newStore, showsUploads }: CrossReading): void {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cross-reading-'));
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  const theirsOn = (store: SharedStore): Promise<OtherRegistry> => startDistribution(program, store.theirs);

  async function writeTheirs(store: SharedStore, prefix: string): Promise<Content> {
    await using theirs = await theirsOn(store);
    return await writeContent({ ...theirs, deletesTags: program.deletesTags }, folder, prefix);
  }

  async function oursOn(store: SharedStore): Promise<TestRegistry & AsyncDisposable> {
    const registry = await startRegistry({
      folder: await mkdtemp(join(folder, 'ours-')),
      config: { storage: store.ours, auth: { anonymous: 'PullPush', anonymousDelete: true } },
    });
    return { ...registry, [Symbol.asyncDispose]: () => registry.process.stop() };
  }

  async function writeOurs(store: SharedStore, prefix: string): Promise<Content> {
    await using ours = await oursOn(store);
    const { host } = new URL(ours.url);
    return await writeContent({ host, url: ours.url, deletesTags: true }, folder, prefix);
  }

  async function writeSha512(store: SharedStore): Promise<{ manifest: Stored; layer: Stored }> {
    await using ours = await oursOn(store);
    const { host } = new URL(ours.url);
    return await writeSha512Manifest({ host, url: ours.url, deletesTags: true }, folder, 'sha512');
  }

  it('is served by us as they wrote it, and uploads that they began are finished', async () => {
    const store = await newStore(folder);
    const content = await writeTheirs(store, 'theirs');
    await using ours = await oursOn(store);

    expect(await problemsOf(ours.url, content)).toEqual([]);
    await expect.poll(() => catalogOf(ours.url), SOON).toEqual([...content.tags.keys()]);
    for (const entry of content.referrers)
      expect(await referrersOf(ours.url, entry)).toEqual(entry.referrers);
    for (const upload of content.uploads) {
      const held = showsUploads ? upload.sent.length : 0;
      expect(await ours.call(upload.path)).toMatchObject({
        status: 204,
        headers: { range: `0-${Math.max(held - 1, 0)}` },
      });
      expect(await finishUpload(ours.url, upload, held)).toEqual([]);
    }
  });

  it('is served by them as we wrote it, and our indexes are nothing to collect for them', async () => {
    const store = await newStore(folder);
    const content = await writeOurs(store, 'ours');
    await using theirs = await theirsOn(store);

    expect(await problemsOf(theirs.url, content)).toEqual([]);
    expect((await catalogOf(theirs.url)).toSorted()).toEqual([...content.tags.keys()]);
    const kept = digestsInUse(content);
    const unreferenced = await unreferencedBlobs(program, store.theirs);
    expect(unreferenced.filter((digest) => kept.has(digest))).toEqual([]);
    // What they delete and write then is what we serve.
    const more = await writeContent({ ...theirs, deletesTags: program.deletesTags }, folder, 'more');
    await using ours = await oursOn(store);
    expect([...(await problemsOf(ours.url, content)), ...(await problemsOf(ours.url, more))]).toEqual([]);
  });

  it('shows with them a manifest that we have by its sha512, whose layers by sha512 they would collect', async () => {
    const store = await newStore(folder);
    const { manifest, layer } = await writeSha512(store);
    await using theirs = await theirsOn(store);

    for (const reference of ['v1', manifest.digest]) {
      const { status, bytes } = await readBytes(`${theirs.url}/v2/sha512/manifests/${reference}`);
      expect({ status, text: bytes.toString() }).toEqual({ status: 200, text: manifest.bytes.toString() });
    }
    const { bytes } = await readBytes(`${theirs.url}/v2/sha512/blobs/${layer.digest}`);
    expect(bytes.equals(layer.bytes)).toBe(true);
    // Their own fault, also with what they have written: they keep a layer by its sha256 and look for its sha512.
    expect(await unreferencedBlobs(program, store.theirs)).toEqual([sha256(layer.bytes)]);
  });

  it('shows with us what they add, move and delete after we have indexed it', async () => {
    const store = await newStore(folder);
    const before = await writeTheirs(store, 'before');
    const first = await oursOn(store);
    await expect.poll(() => catalogOf(first.url), SOON).toEqual([...before.tags.keys()]);
    for (const entry of before.referrers) await referrersOf(first.url, entry);
    await first.process.stop();

    const after = await writeTheirs(store, 'after');
    await using ours = await oursOn(store);

    expect([...(await problemsOf(ours.url, before)), ...(await problemsOf(ours.url, after))]).toEqual([]);
    const names = [...after.tags.keys(), ...before.tags.keys()];
    await expect.poll(() => catalogOf(ours.url), SOON).toEqual(names);
    for (const entry of [...before.referrers, ...after.referrers]) {
      expect(await referrersOf(ours.url, entry)).toEqual(entry.referrers);
    }
  });

  it('is written by both at the same time', async () => {
    const store = await newStore(folder);
    await using ours = await oursOn(store);
    await using theirs = await theirsOn(store);
    const { host } = new URL(ours.url);

    const [mine, yours] = await Promise.all([
      writeContent({ host, url: ours.url, deletesTags: true }, folder, 'mine'),
      writeContent({ ...theirs, deletesTags: program.deletesTags }, folder, 'yours'),
    ]);
    const [subject] = mine.referrers;
    if (!subject) throw new Error('nothing was attached');
    const added = await addReferrer({ ...theirs, deletesTags: false }, folder, subject);

    for (const { url } of [ours, theirs]) {
      expect([
        ...(await problemsOf(url, { ...mine, tags: new Map() })),
        ...(await problemsOf(url, yours)),
      ]).toEqual([]);
    }
    expect(await referrersOf(ours.url, subject)).toEqual([...subject.referrers, added].toSorted());
  });
}
