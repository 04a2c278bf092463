import { createHash } from 'node:crypto';

import type { RawAnswer } from '../integration/registry/raw-http.ts';
import { KEPT } from './ledger.ts';
import {
  artifactOf,
  imageOf,
  indexOf,
  INDEX_TYPE,
  MANIFEST_TYPE,
  mutateManifest,
  type Descriptor,
} from './manifests.ts';
import type { Random } from './random.ts';
import type { FuzzRequest } from './request.ts';
import { QUERIES } from './vocabulary.ts';

/** What a scenario is played with. */
export interface Stage {
  readonly random: Random;
  /**
   * Sends a request, perhaps changed. Where it is sent as it is, and so was everything before it, the answer has to be
   * one of `expected`; an empty list expects nothing.
   *
   * @returns undefined when there is nothing to go on with
   */
  send(request: FuzzRequest, expected?: readonly number[]): Promise<RawAnswer | undefined>;
}

export type Scenario = (stage: Stage) => Promise<void>;

/** Repositories of each kind. */
const REPOSITORIES = 4;
/** Different blobs that are pushed; more would only fill the disk. */
const CONTENTS = 5000;

function kept(random: Random): string {
  return `${KEPT}/${random.pick(['a', 'b/c', 'blobs/uploads', 'manifests'])}`;
}

/** A repository of which anything may be deleted at any time. */
function fleeting(random: Random): string {
  return `drop/${random.below(REPOSITORIES)}`;
}

/** One of a bounded number of contents. */
function contentOf(random: Random): Buffer {
  const index = random.below(CONTENTS);
  const size = index % 100 === 0 ? 150_000 : index % 10 === 0 ? 5000 : index % 200;
  return Buffer.alloc(size, `content ${index};`);
}

function digestOf(bytes: Uint8Array, algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

function get(target: string, headers: FuzzRequest['headers'] = []): FuzzRequest {
  return { method: 'GET', target, headers };
}

function bare(method: string, target: string): FuzzRequest {
  return { method, target, headers: [] };
}

/** @returns undefined when the blob may not be there */
async function pushBlob(
  stage: Stage,
  repository: string,
  bytes = contentOf(stage.random),
): Promise<Descriptor | undefined> {
  const digest = digestOf(bytes);
  const request = {
    method: 'POST',
    target: `/v2/${repository}/blobs/uploads/?digest=${digest}`,
    headers: [],
    body: bytes,
  };
  // A repository that is deleted takes its unfinished uploads with it.
  const expected = repository.startsWith(KEPT) ? [201] : [201, 404];
  const answer = await stage.send(request, expected);
  return answer?.status === 201 ? { digest, size: bytes.length } : undefined;
}

async function startUpload(stage: Stage, repository: string): Promise<string | undefined> {
  const answer = await stage.send(bare('POST', `/v2/${repository}/blobs/uploads/`), [202]);
  return answer?.headers.get('location');
}

function putManifest(repository: string, reference: string, body: Buffer, type = MANIFEST_TYPE): FuzzRequest {
  return {
    method: 'PUT',
    target: `/v2/${repository}/manifests/${reference}`,
    headers: [['Content-Type', type]],
    body,
  };
}

async function pushInChunks(stage: Stage): Promise<void> {
  const { random } = stage;
  const bytes = contentOf(random);
  let location = await startUpload(stage, kept(random));
  let sent = 0;
  while (location !== undefined && sent < bytes.length && random.chance(0.9)) {
    const end = Math.min(bytes.length, sent + random.between(1, Math.max(1, bytes.length)));
    const range: FuzzRequest['headers'] = random.chance(0.5) ? [['Content-Range', `${sent}-${end - 1}`]] : [];
    const framing = random.pick(['length', 'chunked'] as const);
    const chunk = {
      method: 'PATCH',
      target: location,
      headers: range,
      body: bytes.subarray(sent, end),
      framing,
    };
    location = (await stage.send(chunk, [202]))?.headers.get('location');
    sent = end;
  }
  if (location === undefined) return;
  if (random.chance(0.2))
    await stage.send(
      {
        ...get(location),
        method: 'PATCH',
        headers: [['Content-Range', '900000-900001']],
        body: Buffer.from('xx'),
      },
      [416],
    );
  if (random.chance(0.3)) await stage.send(get(location), [204]);
  const digest = digestOf(bytes, random.pick(['sha256', 'sha512']));
  const last = {
    method: 'PUT',
    target: `${location}?digest=${digest}`,
    headers: [],
    body: bytes.subarray(sent),
  };
  await stage.send(last, [201]);
  if (random.chance(0.2)) await stage.send(last, [201]);
}

async function lie(stage: Stage): Promise<void> {
  const repository = kept(stage.random);
  const wrong = digestOf(Buffer.from('something else'));
  const body = contentOf(stage.random);
  const location = await startUpload(stage, repository);
  if (location !== undefined)
    await stage.send({ ...bare('PUT', `${location}?digest=${wrong}`), body }, [400]);
  await stage.send({ ...bare('POST', `/v2/${repository}/blobs/uploads/?digest=${wrong}`), body }, [400]);
  await stage.send(putManifest(repository, wrong, Buffer.from('{}')), [400]);
}

async function cancel(stage: Stage): Promise<void> {
  const location = await startUpload(stage, 'work/cancel');
  if (location === undefined) return;
  await stage.send({ ...bare('PATCH', location), body: contentOf(stage.random) }, [202]);
  await stage.send(bare('DELETE', location), [204]);
  await stage.send(get(location), [404]);
}

async function pushImage(stage: Stage): Promise<void> {
  const { random } = stage;
  const repository = kept(random);
  const config = await pushBlob(stage, repository);
  const layer = config && (await pushBlob(stage, repository));
  if (!config || !layer) return;
  const image = imageOf(config, [layer, layer], random);
  const digest = digestOf(image);
  const reference = random.pick([digest, `v${random.below(30)}`, 'latest']);
  if (!(await stage.send(putManifest(repository, reference, image), [201]))) return;
  await stage.send(get(`/v2/${repository}/manifests/${digest}`), [200]);
  const descriptor = { digest, size: image.length };
  if (random.chance(0.4)) {
    const artifact = artifactOf(config, descriptor, random);
    await stage.send(putManifest(repository, digestOf(artifact), artifact), [201]);
    await stage.send(get(`/v2/${repository}/referrers/${digest}`), [200]);
  }
  if (random.chance(0.4))
    await stage.send(putManifest(repository, 'index', indexOf([descriptor], random), INDEX_TYPE), [201]);
}

/** A manifest that is mostly none. */
async function pushOddManifest(stage: Stage): Promise<void> {
  const { random } = stage;
  const repository = kept(random);
  const config = await pushBlob(stage, repository);
  if (!config) return;
  const image = imageOf(config, [config], random);
  const sound = random.pick([
    image,
    artifactOf(config, { digest: digestOf(image), size: image.length }, random),
    indexOf([config], random),
  ]);
  const odd = mutateManifest(sound, random);
  const type = random.pick([
    MANIFEST_TYPE,
    INDEX_TYPE,
    'application/vnd.docker.distribution.manifest.v2+json',
    '',
    'application/json',
  ]);
  const reference = random.pick(['odd', digestOf(odd), digestOf(sound)]);
  await stage.send(putManifest(repository, reference, odd, type), [201, 400, 413, 415]);
  await stage.send(get(`/v2/${repository}/manifests/${reference}`), [200, 404]);
}

async function pull(stage: Stage): Promise<void> {
  const { random } = stage;
  const repository = kept(random);
  const blob = await pushBlob(stage, repository);
  if (!blob) return;
  const target = `/v2/${repository}/blobs/${blob.digest}`;
  const first = random.below(blob.size + 2);
  const ranges = [
    `bytes=${first}-`,
    `bytes=-${first}`,
    `bytes=${first}-${first + 5}`,
    `bytes=0-0,${first}-,-1`,
  ];
  await stage.send(get(target), [200]);
  await stage.send(bare('HEAD', target), [200]);
  await stage.send(get(target, [['Range', random.pick(ranges)]]), [200, 206, 416]);
  await stage.send(get(target, [['If-None-Match', `"${blob.digest}"`]]), [304]);
}

async function list(stage: Stage): Promise<void> {
  const { random } = stage;
  const repository = random.chance(0.7) ? kept(random) : fleeting(random);
  const digest = digestOf(contentOf(random));
  const lists = [
    '/v2/_catalog',
    `/v2/${repository}/tags/list`,
    `/v2/${repository}/referrers/${digest}`,
    '/v2/',
    '/v2/_oci/ext/discover',
  ];
  await stage.send(
    get(`${random.pick(lists)}?${random.pick(QUERIES)}&${random.pick(QUERIES)}`),
    [200, 400, 404],
  );
}

async function mount(stage: Stage): Promise<void> {
  const { random } = stage;
  const source = kept(random);
  const blob = await pushBlob(stage, source);
  if (!blob) return;
  const from = random.pick([`&from=${source}`, '', '&from=nobody/has/it']);
  const target = random.chance(0.5) ? kept(random) : fleeting(random);
  await stage.send(bare('POST', `/v2/${target}/blobs/uploads/?mount=${blob.digest}${from}`), [201, 202]);
}

/** Pushes and deletes of many clients in the same repositories. */
async function churn(stage: Stage): Promise<void> {
  const { random } = stage;
  const repository = fleeting(random);
  const config = await pushBlob(stage, repository);
  if (!config) return;
  const image = imageOf(config, [], random);
  const digest = digestOf(image);
  const gone = [202, 404];
  await stage.send(putManifest(repository, random.pick(['v1', 'v2', digest]), image), [201, 400]);
  await stage.send(get(`/v2/${repository}/tags/list`), [200, 404]);
  const paths = ['manifests/v1', `manifests/${digest}`, `blobs/${config.digest}`];
  await stage.send(bare('DELETE', `/v2/${repository}/${random.pick(paths)}`), gone);
  if (random.chance(0.1))
    await stage.send(bare('DELETE', `/v2/${repository}/_registry-operator/repository`), gone);
}

/** Each as often as it stands here. */
export const SCENARIOS: readonly Scenario[] = [
  async (stage) => void (await pushBlob(stage, kept(stage.random))),
  pushInChunks,
  pushInChunks,
  lie,
  cancel,
  pushImage,
  pushOddManifest,
  pushOddManifest,
  pull,
  list,
  list,
  mount,
  churn,
  churn,
];
