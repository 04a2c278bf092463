import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { codes, header, json, RegistryClient } from './client.ts';
import {
  descriptorOf,
  type Document,
  EMPTY_JSON,
  image,
  index,
  noise,
  OCI_EMPTY,
  OCI_FOREIGN_LAYER,
  OCI_LAYER,
  uniqueImage,
} from './content.ts';
import {
  blobPath,
  manifestPath,
  openUpload,
  pushBlob,
  pushEmptyJson,
  pushManifest,
  putManifest,
  referrersOf,
  uploads,
} from './pushing.ts';
import { type RunningVariant, startVariant, type Variant } from './variants.ts';

/** Starts a registry with these settings, in memory or on a folder with content, for the tests of one `describe`. */
function useRegistry(config: Variant['config'] = {}, seed?: Variant['seed']): RegistryClient {
  const client = new RegistryClient();
  let running: RunningVariant | undefined;

  beforeAll(async () => {
    const storage = seed === undefined ? 'memory' : 'filesystem';
    running = await startVariant({
      storage,
      access: 'open',
      config,
      ...(seed === undefined ? {} : { seed }),
    });
    client.connect(running.connection);
  });
  afterAll(async () => {
    client.close();
    await running?.stop();
  });
  return client;
}

/** A repository that has the config of an empty image. */
async function prepared(client: RegistryClient): Promise<string> {
  const repository = client.newRepository();
  await pushEmptyJson(client, repository);
  return repository;
}

describe('Push: without leave for sparse content', () => {
  const client = useRegistry();

  it('refuses a manifest with MANIFEST_BLOB_UNKNOWN that names content which is not there', async () => {
    const repository = await prepared(client);
    const missing = noise(10);
    const manifests = [
      image({ config: descriptorOf(missing, OCI_EMPTY) }),
      image({ layers: [descriptorOf(missing, OCI_LAYER)] }),
      index([uniqueImage().descriptor]),
    ];

    for (const manifest of manifests) {
      const answer = await putManifest(client, repository, 'sparse', manifest);

      expect(answer.status).toBe(400);
      expect(codes(answer)).toEqual(['MANIFEST_BLOB_UNKNOWN']);
    }
    expect(json(await client.get(`/v2/${repository}/tags/list`))).toEqual({ name: repository, tags: [] });
  });

  it('says of everything that is missing that it is', async () => {
    const repository = await prepared(client);
    const layers = [1, 2, 3].map(() => descriptorOf(noise(10), OCI_LAYER));

    const answer = await putManifest(client, repository, 'sparse', image({ layers }));

    expect(new Set(codes(answer))).toEqual(new Set(['MANIFEST_BLOB_UNKNOWN']));
    for (const { digest } of layers) expect(answer.body.toString()).toContain(digest);
  });

  it('takes a subject, and layers that are not distributed, all the same', async () => {
    const repository = await prepared(client);
    const foreign = { ...descriptorOf(noise(10), OCI_FOREIGN_LAYER), urls: ['https://example.com/layer'] };
    const subject = uniqueImage().descriptor;

    expect((await putManifest(client, repository, 'foreign', image({ layers: [foreign] }))).status).toBe(201);
    expect((await putManifest(client, repository, 'subject', uniqueImage({ subject }))).status).toBe(201);
  });

  it('takes the manifest once its content is there', async () => {
    const repository = await prepared(client);
    const bytes = noise(10);
    const manifest = image({ layers: [descriptorOf(bytes, OCI_LAYER)] });
    expect((await putManifest(client, repository, 'late', manifest)).status).toBe(400);

    await pushBlob(client, repository, bytes);

    expect((await putManifest(client, repository, 'late', manifest)).status).toBe(201);
  });
});

describe('Content Management: where deletes are switched off', () => {
  const client = useRegistry({ delete: { enabled: false } });

  it('answers 405 to the delete of a tag, a manifest, a blob and a repository, and keeps them', async () => {
    const repository = await prepared(client);
    const manifest = uniqueImage();
    await pushManifest(client, repository, manifest, 'latest');
    const { digest } = descriptorOf(EMPTY_JSON, OCI_EMPTY);
    const paths = [
      manifestPath(repository, 'latest'),
      manifestPath(repository, manifest.descriptor.digest),
      blobPath(repository, digest),
    ];

    for (const path of [...paths, `/v2/${repository}/_registry-operator/repository`]) {
      const answer = await client.send('DELETE', path);

      expect(answer.status).toBe(405);
      expect(codes(answer)).toEqual(['UNSUPPORTED']);
    }
    for (const path of paths) expect((await client.head(path)).status).toBe(200);
  });

  it('still cancels an upload', async () => {
    const repository = await prepared(client);

    expect((await client.send('DELETE', await openUpload(client, repository))).status).toBe(204);
  });
});

describe('Warnings: where there is something to warn of', () => {
  const client = useRegistry({ http: { warning: 'this registry moves on Friday' } });

  it('sends code 299, no agent and no date with every answer', async () => {
    const repository = await prepared(client);

    const answers = [
      await client.get('/v2/'),
      await client.send('POST', uploads(repository)),
      await client.get(manifestPath(repository, 'missing')),
    ];

    expect(answers.map((answer) => header(answer, 'warning'))).toEqual(
      answers.map(() => '299 - "this registry moves on Friday"'),
    );
  });
});

describe('Error Codes: TOOMANYREQUESTS', () => {
  const client = useRegistry({ limits: { perClient: { requestsPerSecond: 1, burst: 3 } } });

  it('comes with 429 and says in Retry-After when to come again', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => client.get('/v2/_catalog')));

    const refused = answers.find(({ status }) => status === 429);
    if (refused === undefined) throw new Error('no request was refused');
    expect(codes(refused)).toEqual(['TOOMANYREQUESTS']);
    expect(header(refused, 'retry-after')).toMatch(/^[1-9]\d*$/);
  });
});

describe('Pushing Manifests: where another size is set', () => {
  const client = useRegistry({ limits: { maxManifestBytes: 64 * 1024 } });

  it('answers 413 to a manifest that is longer', async () => {
    const repository = await prepared(client);
    const manifest = uniqueImage({ annotations: { long: 'x'.repeat(70_000) } });

    const answer = await putManifest(client, repository, 'long', manifest);

    expect(answer.status).toBe(413);
    expect(codes(answer)).toEqual(['MANIFEST_INVALID']);
  });
});

describe('Enabling the Referrers API: what is there already', () => {
  const subject = uniqueImage();
  const [listed, unlisted] = [
    uniqueImage({ subject: subject.descriptor }),
    uniqueImage({ subject: subject.descriptor }),
  ];
  const list = index([listed.descriptor]);
  const tag = subject.descriptor.digest.replace(':', '-');
  const client = useRegistry({}, async (folder) => {
    for (const manifest of [subject, listed, unlisted, list]) await writeOldManifest(folder, manifest);
    await writeOldTag(folder, tag, list);
  });

  it('lists manifests with a subject, whether an older client has noted them under the tag of the subject or not', async () => {
    const found = await referrersOf(client, 'old/repository', subject.descriptor.digest);

    expect(found.map(({ digest }) => digest).toSorted()).toEqual(
      [listed, unlisted].map(({ descriptor }) => descriptor.digest).toSorted(),
    );
  });

  it('lists what is pushed from now on beside it', async () => {
    await pushEmptyJson(client, 'old/repository');
    const added = uniqueImage({ subject: subject.descriptor });
    await pushManifest(client, 'old/repository', added);

    const found = await referrersOf(client, 'old/repository', subject.descriptor.digest);

    expect(found).toHaveLength(3);
    expect(found.map(({ digest }) => digest)).toContain(added.descriptor.digest);
  });
});

/** Writes a manifest into the folder of a registry as distribution 2.8 does. */
async function writeOldManifest(folder: string, { bytes, descriptor }: Document): Promise<void> {
  const hex = descriptor.digest.replace('sha256:', '');
  await writeOld(folder, `blobs/sha256/${hex.slice(0, 2)}/${hex}/data`, bytes);
  await writeOld(folder, `${OLD_MANIFESTS}/revisions/sha256/${hex}/link`, descriptor.digest);
}

async function writeOldTag(folder: string, tag: string, { descriptor }: Document): Promise<void> {
  const hex = descriptor.digest.replace('sha256:', '');
  await writeOld(folder, `${OLD_MANIFESTS}/tags/${tag}/current/link`, descriptor.digest);
  await writeOld(folder, `${OLD_MANIFESTS}/tags/${tag}/index/sha256/${hex}/link`, descriptor.digest);
}

const OLD_MANIFESTS = 'repositories/old/repository/_manifests';

async function writeOld(folder: string, key: string, content: Uint8Array | string): Promise<void> {
  const path = join(folder, 'docker/registry/v2', key);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}
