/**
 * A data folder that is not what it should be: links to elsewhere, damaged and missing files, names that nobody could
 * have pushed. And two servers on one folder. Advisories: CVE-2026-35172.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, rename, rm, symlink, truncate, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, test, vi } from 'vitest';

import { startRegistry, type TestRegistry } from '../../../servers/registry.ts';
import { manifestOf, sha256 } from '../content.ts';
import {
  OPEN_TO_ALL,
  pushBlob,
  pushImage,
  putManifest,
  refusalOf,
  startPitfallServer,
  startUpload,
  type PitfallServer,
} from './server.ts';

const SECRET = 'root:x:0:0: nobody may read this';

let server: PitfallServer;

beforeAll(async () => {
  server = await startPitfallServer();
  await writeFile(join(server.folder, 'secret'), SECRET);
});
afterAll(() => server.stop());

function at(...path: string[]): string {
  return join(server.folder, 'data/docker/registry/v2', ...path);
}

function dataOf(digest: string): string {
  const hex = digest.slice('sha256:'.length);
  return at('blobs/sha256', hex.slice(0, 2), hex, 'data');
}

function layerLink(repository: string, digest: string): string {
  return at('repositories', repository, '_layers', digest.replace(':', '/'), 'link');
}

function revisionLink(repository: string, digest: string): string {
  return at('repositories', repository, '_manifests/revisions', digest.replace(':', '/'), 'link');
}

function tagLink(repository: string, tag: string): string {
  return at('repositories', repository, '_manifests/tags', tag, 'current/link');
}

async function status(target: string, method = 'GET'): Promise<number> {
  return (await server.call(target, { method })).status;
}

async function put(file: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
}

describe('symbolic links', () => {
  it('in the place of a blob, a link or a tag are not followed', async () => {
    const digest = await pushBlob(server, 'symbolic', 'blob');
    const linked = await pushBlob(server, 'symbolic', 'its link');
    await pushImage(server, 'symbolic', 'v1');
    for (const file of [dataOf(digest), layerLink('symbolic', linked), tagLink('symbolic', 'v1')]) {
      await unlink(file);
      await symlink(join(server.folder, 'secret'), file);
    }
    const answers = await Promise.all(
      [`blobs/${digest}`, `blobs/${linked}`, 'manifests/v1'].flatMap((path) =>
        ['GET', 'HEAD'].map((method) => server.call(`/v2/symbolic/${path}`, { method })),
      ),
    );

    expect(answers.every((answer) => answer.status === 404 || answer.status === 500)).toBe(true);
    expect(answers.some(({ body }) => body.toString().includes(SECRET))).toBe(false);
  });

  it('in the place of a repository are not listed', async () => {
    await pushImage(server, 'real/inside', 'v1');
    await symlink(at('repositories/real'), at('repositories/linked'));

    const { repositories } = (await server.call('/v2/_catalog')).json() as { repositories: string[] };
    expect(repositories).toContain('real/inside');
    expect(repositories.filter((name) => name.startsWith('linked'))).toEqual([]);
  });

  it('in the place of an upload are not written through', async () => {
    const location = await startUpload(server, 'symbolic');
    await server.call(location, { method: 'PATCH', body: 'first' });
    const data = at('repositories/symbolic/_uploads', location.slice(location.lastIndexOf('/') + 1), 'data');
    await unlink(data);
    await symlink(join(server.folder, 'secret'), data);

    const patch = await server.call(location, { method: 'PATCH', body: 'overwritten' });
    const finished = await server.call(`${location}?digest=${sha256(SECRET)}`, { method: 'PUT' });

    expect([patch.status, finished.status].every((code) => code >= 400)).toBe(true);
    expect(execFileSync('cat', [join(server.folder, 'secret')]).toString()).toBe(SECRET);
  });
});

describe('things that are no files', () => {
  it('a folder in the place of a blob or a link is nothing', async () => {
    const digest = await pushBlob(server, 'folders', 'a folder');
    const linked = await pushBlob(server, 'folders', 'another folder');
    for (const file of [dataOf(digest), layerLink('folders', linked)]) {
      await unlink(file);
      await mkdir(file);
    }

    for (const name of [digest, linked]) {
      for (const method of ['GET', 'HEAD'])
        expect(await status(`/v2/folders/blobs/${name}`, method)).toBe(404);
    }
  });

  it('a pipe does not stop the server', async () => {
    const digests = await Promise.all(
      ['a', 'b', 'c', 'd', 'e'].map((text) => pushBlob(server, 'pipes', `pipe ${text}`)),
    );
    for (const digest of digests) {
      await unlink(dataOf(digest));
      execFileSync('mkfifo', [dataOf(digest)]);
    }
    const answers = await Promise.all(
      digests.map(async (digest) => {
        const answer = await server.raw(
          `GET /v2/pipes/blobs/${digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
        );
        return answer?.status;
      }),
    );

    expect(answers.every((code) => code === 404 || code === 500)).toBe(true);
    expect(await status('/v2/_catalog')).toBe(200);
  });
});

describe('damaged links', () => {
  test.each([
    ['an empty one', ''],
    ['one of half a digest', 'sha256:abc'],
    ['one of something else', SECRET],
    ['one that climbs', `sha256:../../../../../../../../etc/passwd${'x'.repeat(34)}`],
    ['one of a megabyte', 'sha256:'.padEnd(1 << 20, 'a')],
    ['one of binary', randomBytes(71)],
    ['one of a digest that is nowhere', sha256('nowhere at all')],
  ])('%s as a tag is a tag that is not there', async (_, content) => {
    await pushImage(server, 'damaged', 'good');
    await put(tagLink('damaged', 'bad'), content);

    for (const method of ['GET', 'HEAD']) expect(await status('/v2/damaged/manifests/bad', method)).toBe(404);
    expect(await status('/v2/damaged/manifests/good')).toBe(200);
    expect(await status('/v2/damaged/tags/list')).toBe(200);
    expect(await status('/v2/damaged/manifests/bad', 'DELETE')).toBe(202);
  });

  it('an empty one of a blob is mended by pushing the blob again', async () => {
    const digest = await pushBlob(server, 'damaged', 'to be mended');
    await truncate(layerLink('damaged', digest), 0);

    expect(await status(`/v2/damaged/blobs/${digest}`)).toBe(404);
    expect(await status(`/v2/damaged/blobs/${digest}`, 'HEAD')).toBe(404);
    await pushBlob(server, 'damaged', 'to be mended');
    expect(await status(`/v2/damaged/blobs/${digest}`)).toBe(200);
  });

  it('an empty one of a manifest is mended by pushing it again', async () => {
    const digest = await pushImage(server, 'damaged', 'mended');
    await truncate(revisionLink('damaged', digest), 0);

    expect(await status('/v2/damaged/manifests/mended')).toBe(404);
    await pushImage(server, 'damaged', 'mended');
    expect(await status(`/v2/damaged/manifests/${digest}`)).toBe(200);
  });
});

describe('content that is missing', () => {
  it('of a blob is a blob that is not there, cannot be mounted or named, and comes back by a push', async () => {
    const digest = await pushBlob(server, 'missing', '{}');
    await rm(dirname(dataOf(digest)), { recursive: true });

    for (const method of ['GET', 'HEAD'])
      expect(await status(`/v2/missing/blobs/${digest}`, method)).toBe(404);
    const mount = await server.call(`/v2/missing/two/blobs/uploads/?mount=${digest}&from=missing`, {
      method: 'POST',
    });
    expect(mount.status).toBe(202);
    const manifest = await putManifest(server, '/v2/missing/manifests/v1', manifestOf());
    expect(refusalOf(manifest)).toBe('400 MANIFEST_BLOB_UNKNOWN');

    await pushImage(server, 'missing', 'v1');
    expect((await server.call(`/v2/missing/blobs/${digest}`)).body.toString()).toBe('{}');
  });

  it('of a manifest is a manifest that is not there, and comes back by a push', async () => {
    const manifest = manifestOf({ only: 'here' });
    await pushBlob(server, 'missing', '{}');
    await putManifest(server, '/v2/missing/manifests/lost', manifest);
    // Another replica, or this one after a restart, has it in no cache.
    const replica = await startReplica();
    try {
      await rm(dirname(dataOf(sha256(manifest))), { recursive: true });
      expect((await replica.call('/v2/missing/manifests/lost')).status).toBe(404);
      expect((await putManifest(replica, '/v2/missing/manifests/lost', manifest)).status).toBe(201);
      expect((await replica.call('/v2/missing/manifests/lost')).body.toString()).toBe(manifest);
    } finally {
      await replica.process.stop();
    }
  });

  it('at its end cuts the answer off instead of filling it up', async () => {
    const bytes = randomBytes(64 << 20);
    const digest = await pushBlob(server, 'shortened', bytes);
    const connection = await server.connect();
    connection.write(`GET /v2/shortened/blobs/${digest} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await vi.waitFor(() => expect(connection.pending.length).toBeGreaterThan(0), { timeout: 20_000 });
    await truncate(dataOf(digest), 1000);
    await connection.closed(20_000).catch(() => undefined);

    const body = connection.pending.subarray(connection.pending.indexOf('\r\n\r\n') + 4);
    // Fast enough to have sent everything before it was cut, or a part of what it was.
    expect(body.equals(bytes.subarray(0, body.length))).toBe(true);
  });

  it('of the whole folder is told by /readyz, and the server goes on when it is back', async () => {
    const data = join(server.folder, 'data');
    const ready = async () => (await server.call(`${server.registry.opsUrl}/readyz`)).status;
    await rename(data, `${data}-away`);
    expect(await ready()).toBe(503);
    await rename(`${data}-away`, data);

    expect(await ready()).toBe(200);
  });
});

describe('names that nobody could have pushed', () => {
  it('are in no list', async () => {
    await pushImage(server, 'strays', 'v1');
    const link = sha256('{}');
    for (const name of ['Upper', '.hidden', 'lost+found', 'bad name', '-x', '_x', 'é']) {
      await put(at('repositories', name, '_manifests/tags/v1/current/link'), link);
      await put(at('repositories/strays/_manifests/tags', name.replace('_x', '.y'), 'current/link'), link);
    }
    await put(at('repositories/file'), 'a file where a folder should be');
    await put(at('repositories/strays/_manifests/tags/file'), 'a file where a folder should be');
    await put(at('repositories/strays/_uploads/not-a-uuid/data'), 'x');

    const tags = ((await server.call('/v2/strays/tags/list')).json() as { tags: string[] }).tags;
    const catalog = ((await server.call('/v2/_catalog')).json() as { repositories: string[] }).repositories;
    // `Upper` is a name that tags may have.
    expect(tags).toEqual(['Upper', 'v1']);
    expect(catalog.filter((name) => !/^[a-z0-9]+([._/-]+[a-z0-9]+)*$/.test(name) || name === 'file')).toEqual(
      [],
    );
  });
});

describe('a repository whose name begins with that of another', () => {
  const NAMES = ['pre', 'pre/fix', 'pre/fix/ed', 'prefix', 'pre-fix', 'pre.fix', 'pre0'];

  it('is listed, and not deleted with it', async () => {
    for (const name of NAMES) await pushImage(server, name, 'v1');

    expect(await status('/v2/pre/_registry-operator/repository', 'DELETE')).toBe(202);

    expect(await status('/v2/pre/tags/list')).toBe(404);
    expect(await status('/v2/pre/manifests/v1')).toBe(404);
    for (const name of NAMES.slice(1)) {
      expect(await status(`/v2/${name}/manifests/v1`)).toBe(200);
      expect(await status(`/v2/${name}/blobs/${sha256('{}')}`)).toBe(200);
    }
    const catalog = ((await server.call('/v2/_catalog?n=1000')).json() as { repositories: string[] })
      .repositories;
    expect(catalog.filter((name) => name.startsWith('pre'))).toEqual([
      'pre-fix',
      'pre.fix',
      'pre/fix',
      'pre/fix/ed',
      'pre0',
      'prefix',
    ]);
  });

  it('does not lend it its uploads, and a session of a deleted one ends', async () => {
    await pushImage(server, 'ended', 'v1');
    const location = await startUpload(server, 'ended');
    await server.call(location, { method: 'PATCH', body: 'half' });

    expect(await status('/v2/ended/_registry-operator/repository', 'DELETE')).toBe(202);

    expect(await status(location)).toBe(404);
    expect((await server.call(`${location}?digest=${sha256('half')}`, { method: 'PUT' })).status).toBe(404);
    const catalog = ((await server.call('/v2/_catalog?n=1000')).json() as { repositories: string[] })
      .repositories;
    expect(catalog).not.toContain('ended');
  });
});

/** A second server on the same folder. */
async function startReplica(): Promise<TestRegistry> {
  const folder = join(server.folder, 'replica');
  await mkdir(folder, { recursive: true });
  return startRegistry({
    folder,
    config: {
      storage: { driver: 'filesystem', rootDirectory: join(server.folder, 'data'), sync: 'Never' },
      auth: OPEN_TO_ALL,
    },
  });
}

describe('CVE-2026-35172: what one replica deletes', () => {
  let replica: TestRegistry;

  beforeAll(async () => {
    replica = await startReplica();
  });
  afterAll(() => replica.process.stop());

  it('is gone from the others at once, although they have served it', async () => {
    const blob = await pushBlob(server, 'deleted', 'soon gone');
    const manifest = await pushImage(server, 'deleted', 'v1');
    const targets = [
      `/v2/deleted/blobs/${blob}`,
      `/v2/deleted/manifests/${manifest}`,
      '/v2/deleted/manifests/v1',
    ];
    const everywhere = async () => {
      const calls = targets.flatMap((target) =>
        [server, replica].flatMap((registry) =>
          ['GET', 'HEAD'].map((method) => registry.call(target, { method })),
        ),
      );
      return new Set((await Promise.all(calls)).map((answer) => answer.status));
    };
    expect(await everywhere()).toEqual(new Set([200]));

    expect((await replica.call(targets[0] ?? '', { method: 'DELETE' })).status).toBe(202);
    expect((await replica.call(targets[1] ?? '', { method: 'DELETE' })).status).toBe(202);

    expect(await everywhere()).toEqual(new Set([404]));
  });

  it('of one repository stays in the other, on every replica', async () => {
    const blob = await pushBlob(server, 'deleted/one', 'shared');
    await pushBlob(server, 'deleted/two', 'shared');
    await server.call(`/v2/deleted/one/blobs/${blob}`, { method: 'DELETE' });

    for (const registry of [server, replica]) {
      expect((await registry.call(`/v2/deleted/one/blobs/${blob}`)).status).toBe(404);
      expect((await registry.call(`/v2/deleted/two/blobs/${blob}`)).status).toBe(200);
    }
  });

  it('and another pushes again is there again', async () => {
    const digest = await pushImage(server, 'deleted/again', 'v1');
    await replica.call(`/v2/deleted/again/manifests/${digest}`, { method: 'DELETE' });
    expect(await status('/v2/deleted/again/manifests/v1')).toBe(404);

    await pushImage(replica, 'deleted/again', 'v1');
    expect(await status('/v2/deleted/again/manifests/v1')).toBe(200);
  });

  it('a tag that one moves is moved for the others', async () => {
    await pushImage(server, 'deleted/moved', 'v1');
    expect((await replica.call('/v2/deleted/moved/manifests/v1')).status).toBe(200);
    const moved = manifestOf({ moved: 'yes' });
    await putManifest(server, '/v2/deleted/moved/manifests/v1', moved);

    expect((await replica.call('/v2/deleted/moved/manifests/v1')).body.toString()).toBe(moved);
  });
});

it('is as healthy as before, but for the links and pipes that it has complained about', async () => {
  const problems = await server.problems(({ path, level, cause }) => {
    const damaged = /^\/v2\/(?:symbolic|pipes|shortened)\//.test(String(path));
    return damaged || (level === 'error' && /symbolic link|shortened/.test(String(cause)));
  });

  expect(problems).toEqual([]);
});
