import { readFile, rm } from 'node:fs/promises';

import { afterAll, beforeAll, expect, it } from 'vitest';

import type { RegistryConfigInput } from '../../../src/api/registry-config.ts';
import { scratchFolder } from '../../helpers/scratch-folder.ts';
import { startRegistry, type Answer, type Call, type TestRegistry } from '../../servers/registry.ts';
import { sha256 } from './content.ts';
import { reconfigure } from './reconfigure.ts';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const START = '/v2/a/blobs/uploads/';
const BLOB = 'a blob';

let folder: string;
let registry: TestRegistry;
let original: RegistryConfigInput;

beforeAll(async () => {
  folder = await scratchFolder('registry-');
  registry = await startRegistry({
    folder,
    config: { storage: { driver: 'memory' }, auth: { anonymous: 'PullPush', anonymousDelete: true } },
  });
  original = JSON.parse(await readFile(registry.configFile, 'utf8')) as RegistryConfigInput;
});
afterAll(async () => {
  await registry.process.stop();
  await rm(folder, { recursive: true });
});

/** Makes the configuration the original one with this change. */
function configure(change: Partial<RegistryConfigInput>): Promise<void> {
  return reconfigure(registry, () => ({
    ...original,
    ...change,
    http: { ...original.http, ...change.http },
  }));
}

interface Setting {
  readonly name: string;
  readonly change: Partial<RegistryConfigInput>;
  readonly call: () => Promise<Answer>;
  /** What of the answer depends on the setting. */
  readonly seen: (answer: Answer) => unknown;
  readonly before: unknown;
  readonly after: unknown;
}

function ask(target: string, call?: Call): () => Promise<Answer> {
  return () => registry.call(target, call);
}

function pushIndex(padding: number): () => Promise<Answer> {
  const document = { schemaVersion: 2, mediaType: INDEX, manifests: [] };
  const body = JSON.stringify({ ...document, annotations: { x: 'x'.repeat(padding) } });
  return ask('/v2/a/manifests/padded', { method: 'PUT', body, headers: { 'content-type': INDEX } });
}

function pushSparse(): Promise<Answer> {
  const missing = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: sha256('-'), size: 1 };
  const body = JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [missing] });
  return registry.call('/v2/a/manifests/sparse', { method: 'PUT', body, headers: { 'content-type': INDEX } });
}

/** Two requests of one client, behind each other. */
async function twice(): Promise<Answer> {
  const headers = { 'x-forwarded-for': '192.0.2.7' };
  await registry.call('/v2/_catalog', { headers });
  return registry.call('/v2/_catalog', { headers });
}

const status = (answer: Answer): number => answer.status;
const location = ({ headers }: Answer): string => headers.location?.replace(/uploads\/.*/, '') ?? '';

const settings: readonly Setting[] = [
  {
    name: 'limits.maxBlobBytes',
    change: { limits: { maxBlobBytes: 3 } },
    call: ask(`${START}?digest=${sha256(BLOB)}`, { method: 'POST', body: BLOB }),
    seen: status,
    before: 201,
    after: 413,
  },
  {
    name: 'limits.maxManifestBytes',
    change: { limits: { maxManifestBytes: 65_536 } },
    call: pushIndex(70_000),
    seen: status,
    before: 201,
    after: 413,
  },
  {
    name: 'limits.perClient.requestsPerSecond',
    change: { limits: { perClient: { requestsPerSecond: 0.001, burst: 1 } } },
    call: twice,
    seen: status,
    before: 200,
    after: 429,
  },
  {
    name: 'limits.perClient.maxOpenUploads',
    change: { limits: { perClient: { maxOpenUploads: 1 } } },
    call: async () => {
      await registry.call(START, { method: 'POST' });
      return registry.call(START, { method: 'POST' });
    },
    seen: status,
    before: 202,
    after: 429,
  },
  {
    name: 'delete.enabled',
    change: { delete: { enabled: false } },
    call: ask('/v2/a/manifests/nowhere', { method: 'DELETE' }),
    seen: status,
    before: 404,
    after: 405,
  },
  {
    name: 'manifests.allowSparse',
    change: { manifests: { allowSparse: true } },
    call: pushSparse,
    seen: status,
    before: 400,
    after: 201,
  },
  {
    name: 'http.warning',
    change: { http: { warning: 'moves in May' } },
    call: ask('/v2/'),
    seen: ({ headers }) => headers['warning'],
    before: undefined,
    after: '299 - "moves in May"',
  },
  {
    name: 'http.hosts',
    change: { http: { hosts: ['other.example.com'] } },
    call: ask('/v2/?ns=other.example.com'),
    seen: status,
    before: 404,
    after: 200,
  },
  {
    name: 'http.externalURL',
    change: { http: { externalURL: 'https://r.example.com/sub' } },
    call: ask(START, { method: 'POST', headers: { host: 'r.example.com' } }),
    seen: location,
    before: '/v2/a/blobs/',
    after: 'https://r.example.com/sub/v2/a/blobs/',
  },
  {
    name: 'http.trustedProxies',
    change: { http: { externalURL: 'https://r.example.com', trustedProxies: ['127.0.0.0/8'] } },
    call: ask(START, { method: 'POST', headers: { 'x-forwarded-host': 'r.example.com' } }),
    seen: location,
    before: '/v2/a/blobs/',
    after: 'https://r.example.com/v2/a/blobs/',
  },
];

it.each(settings)('$name counts from the next request on', async ({ change, call, seen, before, after }) => {
  expect(seen(await call())).toEqual(before);

  await configure(change);

  expect(seen(await call())).toEqual(after);
  await configure({});
});
