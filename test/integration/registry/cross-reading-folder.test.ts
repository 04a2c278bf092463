import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  DISTRIBUTION_3,
  type OtherRegistry,
  startDistribution,
  unreferencedBlobs,
} from '../../servers/distribution.ts';
import { DOCKER_REGISTRY } from '../../servers/docker-registry.ts';
import { catalogOf, finishUpload, problemsOf, referrersOf, writeContent } from './cross-reading.ts';
import { startRegistry, type TestRegistry } from './registry-process.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cross-reading-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function startOurs(data: string): Promise<TestRegistry & AsyncDisposable> {
  const registry = await startRegistry({
    folder: await mkdtemp(join(folder, 'ours-')),
    config: {
      storage: { driver: 'filesystem', rootDirectory: data },
      auth: { anonymous: 'PullPush', anonymousDelete: true },
    },
  });
  return { ...registry, [Symbol.asyncDispose]: () => registry.process.stop() };
}

function hostOf({ url }: { url: string }): string {
  return new URL(url).host;
}

describe.each([DOCKER_REGISTRY, DISTRIBUTION_3])('a folder shared with distribution $version', (program) => {
  async function newFolder(): Promise<string> {
    const data = await mkdtemp(join(folder, 'data-'));
    await mkdir(join(data, 'docker'), { recursive: true });
    return data;
  }

  function startTheirs(data: string): Promise<OtherRegistry> {
    return startDistribution(program, { filesystem: { rootdirectory: data } });
  }

  async function writeTheirs(data: string, prefix: string) {
    await using theirs = await startTheirs(data);
    return await writeContent({ ...theirs, deletesTags: program.deletesTags }, folder, prefix);
  }

  it('is served by us as they wrote it', async () => {
    const data = await newFolder();
    const content = await writeTheirs(data, 'theirs');
    await using ours = await startOurs(data);

    expect(await problemsOf(ours.url, content)).toEqual([]);
    await expect.poll(() => catalogOf(ours.url), { timeout: 10_000 }).toEqual([...content.tags.keys()]);
    for (const entry of content.referrers)
      expect(await referrersOf(ours.url, entry)).toEqual(entry.referrers);
  });

  it('lets an upload that they began be finished with us', async () => {
    const data = await newFolder();
    const { uploads } = await writeTheirs(data, 'half');
    await using ours = await startOurs(data);

    for (const upload of uploads) {
      const status = await ours.call(upload.path);
      expect(status).toMatchObject({ status: 204, headers: { range: `0-${upload.sent.length - 1}` } });
      const [finished, digest] = await finishUpload(ours.url, upload);
      expect(finished).toBe(201);
      const blob = await ours.call(upload.path.replace(/uploads\/[^/]*$/, digest));
      expect(blob.body.equals(Buffer.concat([upload.sent, upload.rest]))).toBe(true);
    }
  });

  it('is served by them as we wrote it, and our indexes are nothing to collect for them', async () => {
    const data = await newFolder();
    const ours = await startOurs(data);
    const content = await writeContent({ ...ours, host: hostOf(ours), deletesTags: true }, folder, 'ours');
    await ours.process.stop();
    await using theirs = await startTheirs(data);

    expect(await problemsOf(theirs.url, content)).toEqual([]);
    expect((await catalogOf(theirs.url)).toSorted()).toEqual([...content.tags.keys()]);
    const kept = new Set(content.manifests.map(({ digest }) => digest));
    const unreferenced = await unreferencedBlobs(program, { filesystem: { rootdirectory: data } });
    expect(unreferenced.filter((digest) => kept.has(digest))).toEqual([]);
  });

  it('shows with us what they add, move and delete after we have indexed it', async () => {
    const data = await newFolder();
    const before = await writeTheirs(data, 'before');
    const first = await startOurs(data);
    await expect.poll(() => catalogOf(first.url), { timeout: 10_000 }).toEqual([...before.tags.keys()]);
    for (const entry of before.referrers) await referrersOf(first.url, entry);
    await first.process.stop();

    const after = await writeTheirs(data, 'after');
    await using ours = await startOurs(data);

    expect([...(await problemsOf(ours.url, before)), ...(await problemsOf(ours.url, after))]).toEqual([]);
    const names = [...after.tags.keys(), ...before.tags.keys()];
    await expect.poll(() => catalogOf(ours.url), { timeout: 10_000 }).toEqual(names);
    for (const entry of [...before.referrers, ...after.referrers]) {
      expect(await referrersOf(ours.url, entry)).toEqual(entry.referrers);
    }
  });
});
