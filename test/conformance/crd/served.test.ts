import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { parseRegistry } from '../../../src/api/v1alpha1/parse.ts';
import { CONDITION_TYPES, RegistryStatus } from '../../../src/api/v1alpha1/registry.ts';
import { toolPath } from '../../helpers/tools.ts';
import { type ApiServer, startApiServer } from '../../servers/api-server.ts';
import { type Answer, type ApiClient, createApiClient, problemsOf } from './api-client.ts';
import { create, installCrd, REGISTRIES, registryOf } from './registries.ts';
import { entries, having, inBucket, onVolume } from './specs.ts';

/** What the API server does with stored Registries: subresources, columns, apply, pruning. */

const APPLY = 'application/apply-patch+yaml';
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io';

const FULL_STATUS = {
  observedGeneration: 1,
  replicas: 2,
  readyReplicas: 2,
  updatedReplicas: 2,
  selector: 'app.kubernetes.io/instance=a',
  version: '0.1.0',
  endpoint: 'a.default.svc.cluster.local:5000',
  endpoints: [{ name: 'ClusterIP', url: 'https://a.default.svc.cluster.local:5000' }],
  caConfigMapName: 'a-ca',
  certificate: {
    secretName: 'a-tls',
    notAfter: '2027-01-01T00:00:00Z',
    renewalTime: '2026-12-01T00:00:00Z',
    sha256Fingerprint: 'ab'.repeat(32),
  },
  storage: { claimName: 'a-data', capacity: '10Gi', used: 1024 },
  config: { hash: 'cd'.repeat(32), loadedReplicas: 2 },
  conditions: CONDITION_TYPES.map((type) => ({
    type,
    status: 'True',
    observedGeneration: 1,
    lastTransitionTime: '2026-11-21T10:00:00Z',
    reason: 'AsExpected',
    message: 'All is well.',
  })),
};

let server: ApiServer;
let api: ApiClient;

beforeAll(async () => {
  server = await startApiServer();
  api = createApiClient(server);
  await installCrd(api);
});

afterAll(async () => {
  api?.close();
  await server?.stop();
});

/** Stores a Registry and returns its path. */
async function stored(spec: unknown, name?: string): Promise<string> {
  const { metadata } = await create(api, registryOf(spec, name));
  return `${REGISTRIES}/${(metadata as { name: string }).name}`;
}

/** Server-side apply as one of several managers. */
function apply(name: string, manager: string, spec: unknown): Promise<Answer> {
  return api.call('PATCH', `${REGISTRIES}/${name}?fieldManager=${manager}`, {
    contentType: APPLY,
    body: registryOf(spec, name),
  });
}

async function kubectl(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(toolPath('kubectl'), [
    `--kubeconfig=${server.kubeconfigPath}`,
    ...args,
  ]);
  return stdout;
}

describe('status', () => {
  test('takes every field that the operator writes', async () => {
    const path = await stored(onVolume());
    const current = (await api.call('GET', path)).body;

    const answer = await api.call('PUT', `${path}/status?fieldValidation=Strict`, {
      body: { ...current, status: FULL_STATUS },
    });

    expect(problemsOf(answer)).toEqual([]);
    expect(answer.body['status']).toEqual(FULL_STATUS);
    expect(RegistryStatus.parse(answer.body['status'])).toEqual(FULL_STATUS);
    expect(Object.keys(FULL_STATUS).toSorted()).toEqual(Object.keys(RegistryStatus.shape).toSorted());
  });

  test('does not take a spec, nor the spec a status', async () => {
    const path = await stored(onVolume());
    const current = (await api.call('GET', path)).body;
    const spec = { ...(current['spec'] as object), paused: true };

    await api.call('PUT', `${path}/status`, { body: { ...current, spec } });
    await api.call('PATCH', path, {
      body: { status: { endpoint: 'forged' } },
      contentType: 'application/merge-patch+json',
    });

    const after = (await api.call('GET', path)).body;
    expect(after['spec']).not.toHaveProperty('paused');
    expect(after).not.toHaveProperty('status');
  });

  test('merges conditions by type', async () => {
    const path = await stored(onVolume());
    const applyStatus = (manager: string, type: string) =>
      api.call('PATCH', `${path}/status?fieldManager=${manager}`, {
        contentType: APPLY,
        body: {
          ...registryOf(undefined, path.slice(REGISTRIES.length + 1)),
          status: { conditions: [{ ...FULL_STATUS.conditions[0], type }] },
        },
      });

    await applyStatus('one', 'Ready');
    const { body } = await applyStatus('two', 'StorageReady');

    expect(body['status']).toMatchObject({ conditions: [{ type: 'Ready' }, { type: 'StorageReady' }] });
  });
});

describe('scale', () => {
  test('reads and writes replicas', async () => {
    const path = await stored(inBucket());
    const current = (await api.call('GET', path)).body;
    await api.call('PUT', `${path}/status`, { body: { ...current, status: FULL_STATUS } });

    const scale = (await api.call('GET', `${path}/scale`)).body;
    const answer = await api.call('PUT', `${path}/scale`, { body: { ...scale, spec: { replicas: 3 } } });

    expect(scale).toMatchObject({
      spec: { replicas: 1 },
      status: { replicas: 2, selector: FULL_STATUS.selector },
    });
    expect(answer.status).toBe(200);
    expect((await api.call('GET', path)).body['spec']).toMatchObject({ replicas: 3 });
  });

  test('is refused beyond one replica on a volume for one', async () => {
    const path = await stored(onVolume());
    const name = path.slice(REGISTRIES.length + 1);

    await expect(kubectl('scale', 'registry', name, '--replicas=2')).rejects.toThrow(
      /more than one replica needs a volumeClaim with accessMode ReadWriteMany/,
    );
  });
});

describe('kubectl', () => {
  test('shows the columns', async () => {
    const path = await stored(onVolume(), 'columns');
    const current = (await api.call('GET', path)).body;
    await api.call('PUT', `${path}/status`, { body: { ...current, status: FULL_STATUS } });

    const lines = (await kubectl('get', 'reg', 'columns', '-o', 'wide')).trim().split('\n');
    const table = (await api.call('GET', path, { accept: TABLE })).body;
    const columns = table['columnDefinitions'] as { name: string; priority: number }[];

    expect(lines[0]?.trim().split(/\s{2,}/)).toEqual([
      'NAME',
      'READY',
      'REASON',
      'ENDPOINT',
      'STORAGE',
      'REPLICAS',
      'VERSION',
      'CERT-EXPIRY',
      'MESSAGE',
      'AGE',
    ]);
    expect(lines[1]).toMatch(
      /^columns +True +AsExpected +a\.default\.svc\.cluster\.local:5000 +Filesystem +2 +0\.1\.0 +2027-01-01T00:00:00Z +All is well\. +\d+s/,
    );
    expect(columns.filter(({ priority }) => priority === 0).map(({ name }) => name)).toEqual([
      'Name',
      'Ready',
      'Reason',
      'Endpoint',
      'Storage',
      'Replicas',
      'Age',
    ]);
  });

  test('finds Registries by category, short name and kind of storage', async () => {
    await stored(inBucket(), 'by-storage');

    expect(await kubectl('get', 'all', '-o', 'name')).toContain('by-storage');
    const found = await kubectl('get', 'reg', '--field-selector=spec.storage.type=S3', '-o', 'name');
    expect(found).toContain('registry.registry-operator.dev/by-storage');
    expect(found).not.toContain('columns');
  });

  test('explains every field', async () => {
    const text = await kubectl('explain', 'registry.spec', '--recursive');

    expect(text).toContain('htpasswdSecretRefs');
    expect(await kubectl('explain', 'registry.spec.storage.type')).toContain('the member of the same name');
  });
});

describe('server-side apply', () => {
  test('owns what it sets, and not the defaults', async () => {
    const first = await apply('applied', 'gitops', inBucket());
    await api.call('PATCH', `${REGISTRIES}/applied`, {
      body: { spec: { replicas: 3 } },
      contentType: 'application/merge-patch+json',
    });
    const again = await apply('applied', 'gitops', inBucket());
    const rival = await apply('applied', 'other', inBucket({ bucket: 'other' }));

    expect(first.status).toBe(201);
    expect(again.body['spec']).toMatchObject({ replicas: 3 });
    expect(rival.status).toBe(409);
  });

  test('merges pull secrets by name and host names as a set', async () => {
    await apply(
      'merged',
      'one',
      inBucket({}, { imagePullSecrets: [{ name: 'a' }], tls: { dnsNames: ['a'] } }),
    );
    const second = inBucket({}, { imagePullSecrets: [{ name: 'b' }], tls: { dnsNames: ['b'] } });
    const { body } = await apply('merged', 'two', second);

    expect(body['spec']).toMatchObject({
      imagePullSecrets: [{ name: 'a' }, { name: 'b' }],
      tls: { dnsNames: ['a', 'b'] },
    });
  });

  test('goes back to the default TLS when tls is no longer applied', async () => {
    await apply('back', 'gitops', having('tls', { type: 'Secret', secretRef: { name: 'x' } }));
    const { status, body } = await apply('back', 'gitops', inBucket());

    expect(status).toBe(200);
    expect(body['spec']).toMatchObject({ tls: { type: 'SelfSigned', minVersion: 'TLS12' } });
  });
});

describe('unknown fields', () => {
  const misspelt = registryOf(
    {
      ...inBucket({ accessKey: 'x' }, { replica: 2 }),
      podTemplate: { spec: { tolerations: [{ operater: 'Exists', key: 'a' }] } },
    },
    'misspelt',
  );

  test('are pruned by the API server and by the parser alike when asked to', async () => {
    const answer = await api.call('POST', `${REGISTRIES}?dryRun=All&fieldValidation=Ignore`, {
      body: misspelt,
    });
    const parsed = parseRegistry(misspelt, undefined, { unknownFields: 'Prune' });

    expect(answer.status).toBe(201);
    expect(parsed.registry?.spec).toEqual(answer.body['spec']);
    expect(parsed.registry?.spec.podTemplate?.spec?.tolerations).toEqual([{ key: 'a' }]);
  });

  test('of metadata, status and the document are refused', async () => {
    const document = registryOf(inBucket(), 'unknown');
    const wrong = {
      ...document,
      metadata: { ...(document['metadata'] as object), foo: 1 },
      status: { foo: 1 },
      foo: 1,
    };

    const answer = await api.call('POST', `${REGISTRIES}?dryRun=All&fieldValidation=Strict`, { body: wrong });

    const errors = ['unknown field "foo"', 'unknown field "metadata.foo"', 'unknown field "status.foo"'];
    expect(problemsOf(answer).toSorted()).toEqual(errors);
    expect(parseRegistry(wrong).errors).toEqual(errors);
  });
});

test('a stored Registry reads back as what was written, with everything that the server adds', async () => {
  const path = await stored(onVolume({}, { podTemplate: { metadata: { labels: entries(3, 'x') } } }));
  const { body } = await api.call('GET', path);

  const { registry, errors } = parseRegistry(body);

  expect(errors).toBeUndefined();
  expect(registry?.metadata).toMatchObject({ namespace: 'default', generation: 1, uid: expect.any(String) });
  expect(registry?.spec).toEqual(body['spec']);
});
