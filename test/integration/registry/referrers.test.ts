import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { dirname, join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { scratchFolder } from '../../helpers/scratch-folder.ts';
import { type Answer, startRegistry, type TestRegistry } from '../../servers/registry.ts';
import { MANIFEST_TYPE, manifestOf, sha256 } from './content.ts';

const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
const SUBJECT = sha256('subject');

let folder: string;
let registry: TestRegistry;

beforeAll(async () => {
  folder = await scratchFolder('referrers-');
  registry = await startRegistry({
    folder,
    config: {
      storage: { driver: 'filesystem', rootDirectory: join(folder, 'data') },
      auth: { anonymous: 'PullPush', anonymousDelete: true },
    },
  });
});
afterAll(async () => {
  await registry.process.stop();
  await rm(folder, { recursive: true });
});

function sha512(bytes: Uint8Array | string): string {
  return `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
}

/** An image manifest about something; its config is the blob `{}`. */
function about(subject: string, more: object = {}): string {
  const manifest: object = JSON.parse(manifestOf());
  return JSON.stringify({
    ...manifest,
    subject: { mediaType: MANIFEST_TYPE, digest: subject, size: 7 },
    ...more,
  });
}

async function pushConfig(repository: string): Promise<void> {
  const target = `/v2/${repository}/blobs/uploads/?digest=${sha256('{}')}`;
  expect((await registry.call(target, { method: 'POST', body: '{}' })).status).toBe(201);
}

async function put(
  repository: string,
  reference: string,
  body: string,
  type = MANIFEST_TYPE,
): Promise<Answer> {
  return registry.call(`/v2/${repository}/manifests/${reference}`, {
    method: 'PUT',
    headers: { 'content-type': type },
    body,
  });
}

async function push(repository: string, manifest: string): Promise<string> {
  const digest = sha256(manifest);
  expect((await put(repository, digest, manifest)).status).toBe(201);
  return digest;
}

async function referrers(repository: string, query = '', subject = SUBJECT): Promise<Answer> {
  return registry.call(`/v2/${repository}/referrers/${subject}${query}`);
}

async function filtered(repository: string, query: string): Promise<[string[], unknown]> {
  const answer = await referrers(repository, query);
  return [digestsOf(answer), answer.headers['oci-filters-applied']];
}

function digestsOf(answer: Answer): string[] {
  const { manifests } = answer.json() as { manifests: { digest: string }[] };
  return manifests.map(({ digest }) => digest);
}

function errorOf(answer: Answer): string {
  const { errors } = answer.json() as { errors: { code: string; message: string }[] };
  return `${answer.status} ${errors[0]?.code} ${errors[0]?.message}`;
}

function nextOf({ headers }: Answer): string | undefined {
  return /^<([^>]+)>; rel="next"$/.exec(String(headers['link'] ?? ''))?.[1];
}

/** Digests of every page, following the links. */
async function pagesFrom(path: string): Promise<string[][]> {
  const pages: string[][] = [];
  let next: string | undefined = path;
  while (next !== undefined) {
    const answer = await registry.call(next);
    expect(answer.status).toBe(200);
    pages.push(digestsOf(answer));
    next = nextOf(answer);
  }
  return pages;
}

/** Puts a file below the root of the storage, as another server does. */
async function leaveFile(path: string, text: string): Promise<void> {
  const file = join(folder, 'data/docker/registry/v2', path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}

async function leaveManifest(repository: string, text: string): Promise<string> {
  const digest = sha256(text);
  const hex = digest.slice(7);
  await leaveFile(`blobs/sha256/${hex.slice(0, 2)}/${hex}/data`, text);
  await leaveFile(`repositories/${repository}/_manifests/revisions/sha256/${hex}/link`, digest);
  return digest;
}

/** Changes the configuration of the running server. */
async function reconfigure(change: object): Promise<void> {
  const config: object = JSON.parse(await readFile(registry.configFile, 'utf8'));
  await writeFile(registry.configFile, JSON.stringify({ ...config, ...change }));
}

describe('the list of referrers', () => {
  test('is an image index with what each says of itself', async () => {
    await pushConfig('list/one');
    const annotations = { 'org.example': 'ü' };
    const manifest = about(SUBJECT, { artifactType: 'application/spdx+json', annotations });
    const accepted = await put('list/one', 'sbom', manifest);
    expect(accepted.status).toBe(201);
    expect(accepted.headers['oci-subject']).toBe(SUBJECT);
    const index = JSON.stringify({
      schemaVersion: 2,
      mediaType: INDEX_TYPE,
      manifests: [],
      subject: { mediaType: MANIFEST_TYPE, digest: SUBJECT, size: 7 },
    });
    expect((await put('list/one', sha256(index), index, INDEX_TYPE)).headers['oci-subject']).toBe(SUBJECT);

    const answer = await referrers('list/one');

    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe(INDEX_TYPE);
    expect(answer.json()).toEqual({
      schemaVersion: 2,
      mediaType: INDEX_TYPE,
      manifests: [
        {
          mediaType: MANIFEST_TYPE,
          digest: sha256(manifest),
          size: Buffer.byteLength(manifest),
          artifactType: 'application/spdx+json',
          annotations,
        },
        { mediaType: INDEX_TYPE, digest: sha256(index), size: Buffer.byteLength(index) },
      ].toSorted((left, right) => (left.digest < right.digest ? -1 : 1)),
    });
    const head = await registry.call(`/v2/list/one/referrers/${SUBJECT}`, { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(head.headers['content-length']).toBe(String(answer.body.length));
    expect(head.headers['content-type']).toBe(INDEX_TYPE);
  });

  test('is empty for what is not known, and refused for what is no digest', async () => {
    for (const subject of [SUBJECT, sha512('x')]) {
      const answer = await referrers('no/such/repository', '', subject);
      expect(answer.status).toBe(200);
      expect(answer.headers['content-type']).toBe(INDEX_TYPE);
      expect(answer.json()).toEqual({ schemaVersion: 2, mediaType: INDEX_TYPE, manifests: [] });
    }
    for (const subject of ['sha256:bad', 'latest', `sha256:${'A'.repeat(64)}`, `md5:${'a'.repeat(32)}`]) {
      expect(errorOf(await referrers('no/such/repository', '', subject))).toMatch(/^400 DIGEST_INVALID /);
    }
    const posted = await registry.call(`/v2/list/one/referrers/${SUBJECT}`, { method: 'POST' });
    expect(posted.status).toBe(405);
  });

  test('is filtered by type, and says so', async () => {
    await pushConfig('list/filter');
    const pushed: string[] = [];
    for (const artifactType of ['a/a', 'b/b+json', 'c/c']) {
      pushed.push(await push('list/filter', about(SUBJECT, { artifactType })));
    }
    const [a = '', b = '', c = ''] = pushed;

    expect(await filtered('list/filter', '?artifactType=a/a')).toEqual([[a], 'artifactType']);
    expect(await filtered('list/filter', '?artifactType=b%2Fb%2Bjson')).toEqual([[b], 'artifactType']);
    expect(await filtered('list/filter', '?artifactType=x/x')).toEqual([[], 'artifactType']);
    expect(await filtered('list/filter', '?artifactType=a/a&artifactType=c/c')).toEqual([
      [a, c].toSorted(),
      'artifactType',
    ]);
    expect(await filtered('list/filter', '?artifactType=')).toEqual([[a, b, c].toSorted(), undefined]);
    expect(await filtered('list/filter', '?unknown=1')).toEqual([[a, b, c].toSorted(), undefined]);
  });

  test('is paged by links that keep the filter', async () => {
    await pushConfig('list/paged');
    const all: string[] = [];
    for (let number = 0; number < 7; number++) {
      const more = { artifactType: number === 3 ? 'b/b' : 'a/a', annotations: { number: `${number}` } };
      all.push(await push('list/paged', about(SUBJECT, more)));
    }
    const path = `/v2/list/paged/referrers/${SUBJECT}`;

    const pages = await pagesFrom(`${path}?n=3`);
    expect(pages.map(({ length }) => length)).toEqual([3, 3, 1]);
    expect(pages.flat()).toEqual(all.toSorted());
    const ofType = await pagesFrom(`${path}?artifactType=a/a&n=2`);
    expect(ofType.map(({ length }) => length)).toEqual([2, 2, 2]);
    expect(ofType.flat()).not.toContain(all[3]);
    expect(await pagesFrom(path)).toEqual([all.toSorted()]);
    expect(await pagesFrom(`${path}?n=0`)).toEqual([[]]);
    expect(errorOf(await referrers('list/paged', '?last=zzz'))).toMatch(
      /^400 DIGEST_INVALID the parameter last/,
    );
  });

  test('loses what is deleted at once', async () => {
    await pushConfig('list/deleted');
    const [kept, gone] = [
      await push('list/deleted', about(SUBJECT)),
      await push('list/deleted', about(SUBJECT, { artifactType: 'a/a' })),
    ];
    expect(digestsOf(await referrers('list/deleted'))).toHaveLength(2);

    const deleted = await registry.call(`/v2/list/deleted/manifests/${gone}`, { method: 'DELETE' });

    expect(deleted.status).toBe(202);
    expect(digestsOf(await referrers('list/deleted'))).toEqual([kept]);
  });

  test('has what another server and its clients left behind', async () => {
    const [old, listed] = [about(SUBJECT), about(SUBJECT, { artifactType: 'a/a' })];
    const stranger = await leaveManifest('list/old', manifestOf());
    const expected = [await leaveManifest('list/old', old), sha256(listed)].toSorted();
    expect(digestsOf(await referrers('list/old'))).toEqual([sha256(old)]);
    await leaveManifest('list/old', listed);
    const entries = [sha256(listed), sha256(old), stranger, sha256('deleted')].map((digest) => ({
      mediaType: MANIFEST_TYPE,
      digest,
      size: 1,
    }));
    const index = { schemaVersion: 2, mediaType: INDEX_TYPE, manifests: entries };
    const list = await leaveManifest('list/old', JSON.stringify(index));
    const tag = SUBJECT.replace(':', '-');
    await leaveFile(`repositories/list/old/_manifests/tags/${tag}/current/link`, list);

    const answer = await referrers('list/old');

    expect(digestsOf(answer)).toEqual(expected);
    expect(answer.body.toString()).toContain('"artifactType":"a/a"');
  });

  test('has referrers by sha512, of subjects by sha512', async () => {
    await pushConfig('list/long');
    const subject = sha512('subject');
    const manifest = about(subject);
    expect((await put('list/long', sha512(manifest), manifest)).headers['oci-subject']).toBe(subject);

    expect(digestsOf(await referrers('list/long', '', subject))).toEqual([sha512(manifest)]);
    await registry.call(`/v2/list/long/manifests/${sha512(manifest)}`, { method: 'DELETE' });
    expect(digestsOf(await referrers('list/long', '', subject))).toEqual([]);
  });
});

describe('tags of a push by digest', () => {
  test('are all pointed to it, and named in the answer', async () => {
    await pushConfig('tags/all');
    const manifest = manifestOf({ is: 'tagged' });
    for (const digest of [sha256(manifest), sha512(manifest)]) {
      const answer = await put('tags/all', `${digest}?tag=a&tag=b&tag=a&tag=C.1_x`, manifest);

      expect(answer.status).toBe(201);
      expect(String(answer.headers['oci-tag']).split(', ')).toEqual(['a', 'b', 'C.1_x']);
      expect(answer.headers['docker-content-digest']).toBe(digest);
      for (const tag of ['a', 'b', 'C.1_x']) {
        for (const method of ['HEAD', 'GET']) {
          const found = await registry.call(`/v2/tags/all/manifests/${tag}`, { method });
          expect(found.status).toBe(200);
          expect(found.headers['docker-content-digest']).toBe(digest);
        }
      }
    }
    const list = await registry.call('/v2/tags/all/tags/list');
    expect(list.json()).toEqual({ name: 'tags/all', tags: ['C.1_x', 'a', 'b'] });
  });

  test('are refused as a whole when one of them is', async () => {
    await pushConfig('tags/none');
    const manifest = manifestOf();
    const digest = sha256(manifest);
    const many = Array.from({ length: 65 }, (_, index) => `tag=v${index}`).join('&');

    expect(errorOf(await put('tags/none', `${digest}?tag=a&tag=-b`, manifest))).toMatch(
      /^400 TAG_INVALID invalid tag "-b"/,
    );
    expect(errorOf(await put('tags/none', `${digest}?${many}`, manifest))).toMatch(
      /^414 TAG_INVALID at most 64/,
    );
    expect(errorOf(await put('tags/none', 'latest?tag=a', manifest))).toMatch(
      /^400 TAG_INVALID the parameter/,
    );
    expect((await registry.call(`/v2/tags/none/manifests/${digest}`)).status).toBe(404);
    expect((await put('tags/none', `${digest}?${many.slice('tag=v0&'.length)}`, manifest)).status).toBe(201);
  });
});

describe('lists of tags', () => {
  test('are cut by n and last as the client wants', async () => {
    await pushConfig('tags/list');
    await put('tags/list', `${sha256(manifestOf())}?tag=a&tag=c&tag=B`, manifestOf());
    const list = async (query: string): Promise<unknown> =>
      (await registry.call(`/v2/tags/list/tags/list${query}`)).json();

    expect(await list('?n=0')).toEqual({ name: 'tags/list', tags: [] });
    expect(await list('?last=b')).toEqual({ name: 'tags/list', tags: ['c'] });
    expect(await list(`?n=${2 ** 31}`)).toEqual({ name: 'tags/list', tags: ['B', 'a', 'c'] });
    const page = await registry.call('/v2/tags/list/tags/list?n=2');
    expect(nextOf(page)).toBe('/v2/tags/list/tags/list?n=2&last=a');
    expect((await registry.call(nextOf(page) ?? '')).json()).toEqual({ name: 'tags/list', tags: ['c'] });
    expect((await registry.call('/v2/tags/list/tags/list?n=0')).headers['link']).toBeUndefined();
  });

  test.each(['1e9', '-1', 'abc', '', '0x10', '1'.repeat(60)])('refuse n=%s', async (n) => {
    for (const path of ['tags/list', `referrers/${SUBJECT}`]) {
      const answer = await registry.call(`/v2/tags/list/${path}?n=${n}`);
      expect(errorOf(answer)).toMatch(/^400 PAGINATION_NUMBER_INVALID /);
    }
  });

  test.each([2 ** 31, 2 ** 32, '9223372036854775808', '9'.repeat(40)])('take n=%s', async (n) => {
    for (const path of ['tags/list', `referrers/${SUBJECT}`]) {
      expect((await registry.call(`/v2/tags/list/${path}?n=${n}`)).status).toBe(200);
    }
  });
});

describe('manifests', () => {
  test('are refused beyond the limit, which is named, however long the client says they are', async () => {
    await pushConfig('limits/size');
    const manifest = manifestOf();
    const padded = manifest + ' '.repeat((4 << 20) - manifest.length);
    expect((await put('limits/size', 'fits', padded)).status).toBe(201);

    expect(errorOf(await put('limits/size', 'long', `${padded} `))).toMatch(
      /^413 MANIFEST_INVALID .*limits\.maxManifestBytes.*4194304/,
    );
    expect(await pushEndlessly('/v2/limits/size/manifests/endless')).toBe(413);
  });

  test('may lack content once the running server is told so, and the answer warns', async () => {
    await pushConfig('sparse/image');
    const index = JSON.stringify({
      schemaVersion: 2,
      mediaType: INDEX_TYPE,
      manifests: ['1', '2'].map((text) => ({ mediaType: MANIFEST_TYPE, digest: sha256(text), size: 1 })),
    });
    expect(errorOf(await put('sparse/image', 'index', index, INDEX_TYPE))).toMatch(
      /^400 MANIFEST_BLOB_UNKNOWN /,
    );

    await reconfigure({ manifests: { allowSparse: true }, limits: { maxManifestBytes: 65_536 } });

    await expect
      .poll(async () => (await put('sparse/image', 'index', index, INDEX_TYPE)).status, { timeout: 30_000 })
      .toBe(201);
    const answer = await put('sparse/image', 'index', index, INDEX_TYPE);
    expect(answer.headers['warning']).toBe(
      '299 - "the manifest is incomplete: 2 of 2 references are missing in the repository"',
    );
    expect((await put('sparse/image', 'whole', manifestOf())).headers['warning']).toBeUndefined();
    expect(errorOf(await put('sparse/image', 'long', manifestOf() + ' '.repeat(65_536)))).toMatch(
      /^413 .*65536/,
    );
    expect((await registry.call('/v2/limits/size/manifests/fits')).body.length).toBe(4 << 20);
  });
});

/** Sends chunks for as long as the server takes them. @returns the status of its answer */
async function pushEndlessly(target: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const headers = { 'content-type': MANIFEST_TYPE, connection: 'keep-alive' };
  const request = httpRequest(new URL(target, registry.url), { method: 'PUT', headers, agent: false });
  request.on('response', ({ statusCode = 0 }) => {
    resolve(statusCode);
    request.destroy();
  });
  request.on('error', reject);
  const chunk = Buffer.alloc(65_536, ' ');
  // Not from one callback to the next: on a fast connection nothing else would run.
  const send = (): void => {
    if (!request.destroyed) request.write(chunk, () => setImmediate(send));
  };
  send();
  return promise;
}
