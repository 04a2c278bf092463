import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

import type { RegistryConfigInput } from '../../../src/api/registry-config.ts';
import { scratchFolder } from '../../helpers/scratch-folder.ts';
import { type Answer, startRegistry, type TestRegistry } from '../../servers/registry.ts';
import { type S3Server, writeCredentials } from '../../servers/s3-server.ts';
import { startVersitygw } from '../../servers/versitygw.ts';
import { manifestOf, MANIFEST_TYPE, sha256 } from './content.ts';
import { reconfigure } from './reconfigure.ts';

/** The comparison starts with the server; a busy machine may put off its end. */
const COMPARED = { timeout: 30_000, interval: 50 };
/** Of pushes against deletions. */
const ROUNDS = 8;
const REFUSED = '400 MANIFEST_BLOB_UNKNOWN';
/** Too many for a server that is stopped as soon as it has started. */
const MANY = 3000;
const AUTH = { anonymous: 'PullPush', anonymousDelete: true } as const;
const V2 = 'data/docker/registry/v2';

function sha512(bytes: string): string {
  return `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
}

function codeOf(answer: Answer): unknown {
  const { errors } = answer.json() as { errors: { code: string }[] };
  return errors[0]?.code;
}

async function pushBlob(registry: TestRegistry, repository: string, bytes: string, digest = sha256(bytes)) {
  const target = `/v2/${repository}/blobs/uploads/?digest=${digest}`;
  const answer = await registry.call(target, { method: 'POST', body: bytes });
  expect(answer.status).toBe(201);
  return digest;
}

async function putManifest(registry: TestRegistry, repository: string, tag: string): Promise<Answer> {
  return registry.call(`/v2/${repository}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'content-type': MANIFEST_TYPE },
    body: manifestOf({ tag, repository }),
  });
}

async function pushImage(registry: TestRegistry, repository: string, tag = 'latest'): Promise<string> {
  await pushBlob(registry, repository, '{}');
  expect((await putManifest(registry, repository, tag)).status).toBe(201);
  return sha256(manifestOf({ tag, repository }));
}

function mount(registry: TestRegistry, repository: string, query: string): Promise<Answer> {
  return registry.call(`/v2/${repository}/blobs/uploads/?mount=${query}`, { method: 'POST' });
}

function deleteRepository(registry: TestRegistry, repository: string): Promise<Answer> {
  return registry.call(`/v2/${repository}/_registry-operator/repository`, { method: 'DELETE' });
}

async function catalogOf(registry: TestRegistry): Promise<string[]> {
  const answer = await registry.call('/v2/_catalog');
  expect(answer.status).toBe(200);
  return (answer.json() as { repositories: string[] }).repositories;
}

async function metrics(registry: TestRegistry): Promise<string> {
  return (await fetch(`${registry.opsUrl}/metrics`)).text();
}

let s3: S3Server;
let folder: string;
beforeAll(async () => {
  s3 = await startVersitygw({ buckets: ['repositories'] });
  folder = await scratchFolder('repositories-');
  await writeCredentials(s3, folder);
});
afterAll(async () => {
  await s3.stop();
  await rm(folder, { recursive: true });
});

async function serve(
  home: string,
  storage: RegistryConfigInput['storage'],
  more: Partial<RegistryConfigInput> = {},
): Promise<TestRegistry> {
  await mkdir(home, { recursive: true });
  return startRegistry({ folder: home, config: { auth: AUTH, ...more, storage } });
}

describe.each(['filesystem', 's3'] as const)('on %s', (driver) => {
  let registry: TestRegistry;
  beforeAll(async () => {
    const home = join(folder, driver);
    const { endpoint, region } = s3;
    registry = await serve(
      home,
      driver === 's3'
        ? { driver, bucket: 'repositories', endpoint, region, credentialsDirectory: folder }
        : { driver, rootDirectory: join(home, 'data') },
    );
  });
  afterAll(async () => {
    await registry.process.stop();
  });

  describe('a mount', () => {
    it.each([
      { algorithm: 'sha256', digest: sha256('wanted'), from: '' },
      { algorithm: 'sha256', digest: sha256('wanted'), from: '&from=mount/without/it' },
      { algorithm: 'sha256', digest: sha256('wanted'), from: '&from=NO/name' },
      { algorithm: 'sha512', digest: sha512('wanted'), from: '' },
      { algorithm: 'sha512', digest: sha512('wanted'), from: '&from=mount/source' },
    ])('finds a $algorithm blob wherever it is (query "$from")', async ({ digest, from }) => {
      await pushBlob(registry, 'mount/source', 'wanted', digest);
      const target = `mount/to-${createHash('md5')
        .update(digest + from)
        .digest('hex')}`;
      expect((await registry.call(`/v2/${target}/blobs/${digest}`, { method: 'HEAD' })).status).toBe(404);

      const answer = await mount(registry, target, `${digest}${from}`);

      expect(answer.status).toBe(201);
      expect(answer.headers['docker-content-digest']).toBe(digest);
      expect(answer.headers.location).toBe(`/v2/${target}/blobs/${digest}`);
      const pulled = await registry.call(answer.headers.location ?? '');
      expect([pulled.status, pulled.body.toString()]).toEqual([200, 'wanted']);
      expect(pulled.headers['docker-content-digest']).toBe(digest);
      expect(await catalogOf(registry)).toContain(target);
    });

    it('opens an upload when nobody has the blob, or no longer', async () => {
      const digest = await pushBlob(registry, 'mount/lost', 'lost');
      expect((await mount(registry, 'mount/other', `${sha256('unknown')}&from=mount/lost`)).status).toBe(202);
      expect((await mount(registry, 'mount/other', sha256('unknown'))).status).toBe(202);
      await registry.call(`/v2/mount/lost/blobs/${digest}`, { method: 'DELETE' });

      for (const query of [digest, `${digest}&from=mount/lost`]) {
        const answer = await mount(registry, 'mount/other', query);
        expect(answer.status).toBe(202);
        const uploaded = await registry.call(`${answer.headers.location}?digest=${digest}`, {
          method: 'PUT',
          body: 'lost',
        });
        expect(uploaded.status).toBe(201);
        await registry.call(`/v2/mount/other/blobs/${digest}`, { method: 'DELETE' });
      }
    });
  });

  describe('deleting a repository', () => {
    it('removes everything of it, and nothing of its neighbours', async () => {
      const names = ['gone', 'gone/nested', 'gone-not', 'gone.not'];
      for (const name of names) await pushImage(registry, name);
      await pushImage(registry, 'gone', 'second');
      const started = await registry.call('/v2/gone/blobs/uploads/', { method: 'POST' });
      const chunk = await registry.call(started.headers.location ?? '', {
        method: 'PATCH',
        body: 'unfinished',
      });
      expect(chunk.status).toBe(202);

      const answer = await deleteRepository(registry, 'gone');

      expect([answer.status, answer.body.length]).toEqual([202, 0]);
      for (const path of [
        'gone/tags/list',
        'gone/manifests/latest',
        `gone/manifests/${sha256(manifestOf({ tag: 'second', repository: 'gone' }))}`,
        `gone/blobs/${sha256('{}')}`,
      ]) {
        expect([path, (await registry.call(`/v2/${path}`)).status]).toEqual([path, 404]);
      }
      expect((await registry.call(chunk.headers.location ?? '')).status).toBe(404);
      const neighbours = (await catalogOf(registry)).filter((name) => name.startsWith('gone'));
      expect(neighbours).toEqual(['gone-not', 'gone.not', 'gone/nested']);
      for (const name of neighbours) {
        expect((await registry.call(`/v2/${name}/manifests/latest`)).status).toBe(200);
        expect((await registry.call(`/v2/${name}/blobs/${sha256('{}')}`)).body.toString()).toBe('{}');
      }
      const again = await deleteRepository(registry, 'gone');
      expect([again.status, codeOf(again)]).toEqual([404, 'NAME_UNKNOWN']);
      await pushImage(registry, 'gone', 'anew');
      expect((await registry.call('/v2/gone/tags/list')).json()).toEqual({ name: 'gone', tags: ['anew'] });
      expect(await catalogOf(registry)).toContain('gone');
    });

    it('leaves pushes that run meanwhile whole, or refuses them', async () => {
      const outcomes = new Set<string>();
      const push = async (tag: string): Promise<void> => {
        const digest = sha256('{}');
        await registry.call(`/v2/busy/blobs/uploads/?digest=${digest}`, { method: 'POST', body: '{}' });
        const answer = await putManifest(registry, 'busy', tag);
        outcomes.add(answer.status === 201 ? 'pushed' : `${answer.status} ${String(codeOf(answer))}`);
      };
      const found: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const pushes = Array.from({ length: 6 }, (_, index) => push(`r${round}-${index}`));
        const deleted = await deleteRepository(registry, 'busy');
        await Promise.all(pushes);
        expect([202, 404]).toContain(deleted.status);

        const list = await registry.call('/v2/busy/tags/list');
        const { tags = [] } = list.json() as { tags?: string[] };
        for (const tag of tags) {
          const manifest = await registry.call(`/v2/busy/manifests/${tag}`);
          const config = await registry.call(`/v2/busy/blobs/${sha256('{}')}`);
          found.push(manifest.status, config.status);
        }
      }
      expect(found.filter((status) => status !== 200)).toEqual([]);
      expect([...outcomes].filter((outcome) => outcome !== 'pushed' && outcome !== REFUSED)).toEqual([]);
      expect(outcomes).toContain('pushed');
    });
  });

  it('takes a repository off the list with its last content', async () => {
    const manifest = await pushImage(registry, 'single');
    expect(await catalogOf(registry)).toContain('single');

    await registry.call(`/v2/single/manifests/${manifest}`, { method: 'DELETE' });
    expect(await catalogOf(registry)).toContain('single');
    await registry.call(`/v2/single/blobs/${sha256('{}')}`, { method: 'DELETE' });

    expect(await catalogOf(registry)).not.toContain('single');
  });
});

describe('who may delete a repository', () => {
  let registry: TestRegistry | undefined;
  afterEach(async () => {
    await registry?.process.stop();
    registry = undefined;
  });

  const cases: { more: Partial<RegistryConfigInput>; answer: [number, string] }[] = [
    { more: { auth: { anonymous: 'PullPush' } }, answer: [403, 'DENIED'] },
    { more: { delete: { enabled: false } }, answer: [405, 'UNSUPPORTED'] },
  ];
  it.each(cases)('answers $answer with $more', async ({ more, answer }) => {
    registry = await serve(join(folder, `rights-${answer[0]}`), { driver: 'memory' }, more);
    await pushImage(registry, 'kept');

    const refused = await deleteRepository(registry, 'kept');

    expect([refused.status, codeOf(refused)]).toEqual(answer);
    expect((await registry.call('/v2/kept/manifests/latest')).status).toBe(200);
  });
});

describe('the comparison of the indexes', () => {
  let home: string;
  let registry: TestRegistry;
  const start = async (): Promise<void> => {
    registry = await serve(home, { driver: 'filesystem', rootDirectory: join(home, 'data') });
  };
  beforeAll(() => {
    home = join(folder, 'compared');
  });

  it('makes indexes for content without any, which is listed and served from the start', async () => {
    await start();
    for (const name of ['old', 'old/nested']) await pushImage(registry, name);
    await registry.process.stop();
    const indexes = ['_catalog', '_repositories', '_indexes'];
    for (const name of indexes) await rm(join(home, V2, name), { recursive: true });
    await rm(join(home, V2, 'repositories/old/_referrers'), { recursive: true, force: true });

    await start();

    expect(await catalogOf(registry)).toEqual(['old', 'old/nested']);
    await vi.waitFor(
      async () => expect(await readdir(join(home, V2))).toEqual(expect.arrayContaining(indexes)),
      COMPARED,
    );
    expect(await readdir(join(home, V2, '_catalog'))).toEqual(['old', 'old.nested']);
    expect((await mount(registry, 'new', sha256('{}'))).status).toBe(201);
    expect(await metrics(registry)).toMatch(
      /^registry_index_repairs_total\{index="catalog",action="added"\} 2$/m,
    );
    const mark = await readFile(join(home, V2, '_indexes/complete'), 'utf8');
    expect(Math.abs(Date.now() - Date.parse(mark))).toBeLessThan(60_000);
    await registry.process.stop();
  });

  it('shows at once what another server did to the folder in between, although a mark is there', async () => {
    const repositories = join(home, V2, 'repositories');
    await cp(join(repositories, 'old/_manifests'), join(repositories, 'foreign/_manifests'), {
      recursive: true,
    });
    await cp(join(repositories, 'old/_layers'), join(repositories, 'foreign/_layers'), { recursive: true });
    await rm(join(repositories, 'new'), { recursive: true });

    await start();

    expect(await catalogOf(registry)).toEqual(['foreign', 'old', 'old/nested']);
    await vi.waitFor(
      async () => expect(await readdir(join(home, V2, '_catalog'))).toEqual(['foreign', 'old', 'old.nested']),
      COMPARED,
    );
    expect(await catalogOf(registry)).toEqual(['foreign', 'old', 'old/nested']);
    await registry.process.stop();
  });

  it('does without indexes that cannot be written', async () => {
    await rm(join(home, V2, '_catalog'), { recursive: true });
    await writeFile(join(home, V2, '_catalog'), 'a file, where a folder has to be');

    await start();

    await vi.waitFor(
      async () =>
        expect(await readFile(join(home, 'registry.log'), 'utf8')).toContain('could not be compared'),
      COMPARED,
    );
    expect(await catalogOf(registry)).toEqual(['foreign', 'old', 'old/nested']);
    expect((await registry.call('/v2/old/manifests/latest')).status).toBe(200);
    await registry.process.stop();
    await rm(join(home, V2, '_catalog'));
  });

  it('stops in the middle with the server', async () => {
    const link = sha256('{}').slice('sha256:'.length);
    for (let index = 0; index < MANY; index++) {
      const layer = join(home, V2, `repositories/many/r${index}/_layers/sha256/${link}`);
      await mkdir(layer, { recursive: true });
      await writeFile(join(layer, 'link'), sha256('{}'));
    }
    await start();
    const asked = Date.now();

    await registry.process.stop();

    expect(Date.now() - asked).toBeLessThan(10_000);
    expect(await readFile(join(home, 'registry.log'), 'utf8')).toMatch(/"stopped"/);
    // On a busy machine it stops before the first entry.
    const entries = await readdir(join(home, V2, '_catalog')).catch(() => []);
    expect(entries.length).toBeLessThan(MANY);
  });
});

describe('the list of extensions', () => {
  let registry: TestRegistry;
  beforeAll(async () => {
    registry = await serve(join(folder, 'extensions'), { driver: 'memory' });
  });
  afterAll(async () => {
    await registry.process.stop();
  });

  it.each([
    ['/v2/_oci/ext/discover', ['_oci', '_catalog', '_registry-operator']],
    ['/v2/some/name/_oci/ext/discover', ['_oci', '_registry-operator']],
  ])('%s', async (path, names) => {
    const answer = await registry.call(path);
    const head = await registry.call(path, { method: 'HEAD' });

    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json']);
    const { extensions } = answer.json() as { extensions: Record<string, unknown>[] };
    expect(extensions.map(({ name }) => name)).toEqual(names);
    for (const extension of extensions) {
      expect(extension).toEqual({
        name: expect.any(String),
        url: expect.stringMatching(/^https:\/\//),
        description: expect.any(String),
        endpoints: [expect.stringMatching(new RegExp(`^${String(extension['name'])}(?:/|$)`))],
      });
    }
    expect([head.status, head.headers['content-length']]).toEqual([200, String(answer.body.length)]);
    expect((await registry.call(path, { method: 'POST' })).status).toBe(405);
  });

  it('leaves out what is switched off', async () => {
    await reconfigure(registry, (config) => ({ ...config, delete: { enabled: false } }));
    const namesOf = async (path: string): Promise<unknown[]> => {
      const { extensions } = (await registry.call(path)).json() as { extensions: { name: string }[] };
      return extensions.map(({ name }) => name);
    };

    expect(await namesOf('/v2/_oci/ext/discover')).toEqual(['_oci', '_catalog']);
    expect(await namesOf('/v2/some/name/_oci/ext/discover')).toEqual(['_oci']);

    await reconfigure(registry, (config) => ({ ...config, delete: { enabled: true } }));
  });

  it('names endpoints that exist', async () => {
    expect((await registry.call('/v2/_catalog')).status).toBe(200);
    expect(codeOf(await deleteRepository(registry, 'none'))).toBe('NAME_UNKNOWN');
  });
});
