import { assert, integer, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';

import { ANNOTATIONS } from '../../../api/group.ts';
import { RegistryConfig } from '../../../api/registry-config.ts';
import type { KubeObject } from '../../kube/types.ts';
import { desired } from './desired.ts';
import type { Facts } from './facts.ts';
import { POD_PLACEMENT, podPlacement } from './placement.ts';
import { read, readList, readText } from './read.ts';
import { serverConfig } from './resources/config.ts';
import { restrictedFaults } from './testing/pod-security.ts';
import { CERTIFICATE, factsOf, registryOf } from './testing/samples.ts';
import { SCENARIOS } from './testing/scenarios.ts';

const SHARED_CLAIM: KubeObject = {
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name: 'shared', namespace: 'apps' },
  spec: { accessModes: ['ReadWriteMany'] },
};

function objectsOf(spec: object, overrides: Partial<Facts> = {}): KubeObject[] {
  const facts = factsOf({ existingClaim: SHARED_CLAIM, serves: { serviceMonitor: true }, ...overrides });
  return desired(registryOf(spec), facts, POD_PLACEMENT);
}

function find(objects: readonly KubeObject[], kind: string, name = 'reg'): KubeObject | undefined {
  return objects.find((object) => object.kind === kind && object.metadata.name === name);
}

function podOf(objects: readonly KubeObject[]): unknown {
  return read(find(objects, 'Deployment'), 'spec', 'template', 'spec');
}

function restartHashOf(objects: readonly KubeObject[]): unknown {
  return read(
    find(objects, 'Deployment'),
    'spec',
    'template',
    'metadata',
    'annotations',
    ANNOTATIONS.restartHash,
  );
}

describe.each(Object.entries(SCENARIOS))('scenario %s', (name, spec) => {
  it('makes the objects of its golden file', async () => {
    const objects = objectsOf(spec).map((object) => readable(object));

    await expect(
      objects
        .map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false }))
        .join('---\n'),
    ).toMatchFileSnapshot(`golden/${name}.yaml.snap`);
  });

  it('makes pods that the restricted Pod Security Standard takes', () => {
    expect(restrictedFaults(podOf(objectsOf(spec)))).toEqual([]);
  });

  it('writes a configuration that the server takes, with every default filled in', () => {
    const config = serverConfig(registryOf(spec), factsOf(), POD_PLACEMENT);

    expect(RegistryConfig.parse(structuredClone(config))).toMatchObject(config);
  });

  it('mounts every file that the configuration names, as a folder and read-only', () => {
    const pod = podOf(objectsOf(spec));
    const mounts = readList(pod, 'containers', '0', 'volumeMounts');
    const config = JSON.stringify(serverConfig(registryOf(spec), factsOf(), POD_PLACEMENT));
    const files = [...config.matchAll(/"(\/etc\/registry\/[^"]+)"/g)].map((match) => match[1] ?? '');

    const folders = files.map((file) =>
      mounts.find(
        (mount) => `${file}/`.startsWith(`${readText(mount, 'mountPath')}/`) && !isConfigFolder(mount),
      ),
    );

    expect(folders.map((mount) => read(mount, 'readOnly'))).toEqual(files.map(() => true));
    expect(folders.map((mount) => read(mount, 'subPath'))).toEqual(files.map(() => undefined));
  });

  it('gives every object the labels, and an owner unless it is the claim', () => {
    for (const object of objectsOf(spec)) {
      expect(object.metadata.labels).toMatchObject({
        'app.kubernetes.io/managed-by': 'registry-operator',
        'registry-operator.dev/registry': 'reg',
      });
      const owners = object.metadata.ownerReferences?.filter(({ controller }) => controller === true) ?? [];
      expect(owners).toHaveLength(object.kind === 'PersistentVolumeClaim' ? 0 : 1);
    }
  });
});

/** The configuration's own folder holds all others. */
function isConfigFolder(mount: unknown): boolean {
  return readText(mount, 'mountPath') === '/etc/registry';
}

/** Base64 says nothing to a reader of a golden file. */
function readable(object: KubeObject): object {
  if (object.kind !== 'Secret') return object;
  const entries = Object.entries(Object(object['data'])).map(([key, value]) => [
    key,
    Buffer.from(String(value), 'base64').toString(),
  ]);
  return { ...object, data: Object.fromEntries(entries) };
}

describe('desired', () => {
  it('begins with the Service and leaves out what needs the certificate until there is one', () => {
    const kinds = objectsOf({}, { certificate: undefined }).map(({ kind }) => kind);

    expect(kinds).toEqual(['Service', 'ServiceAccount', 'PersistentVolumeClaim', 'ServiceMonitor']);
  });

  it('needs no certificate for plain HTTP', () => {
    expect(
      find(objectsOf({ tls: { type: 'None' } }, { certificate: undefined }), 'Deployment'),
    ).toBeDefined();
  });

  it('writes the CA before the leaf', () => {
    const names = objectsOf({}).map(({ metadata }) => metadata.name);

    expect(names.indexOf('reg-ca')).toBeLessThan(names.indexOf('reg-tls'));
  });

  it("publishes the CA of a user's certificate but keeps no copy of the key", () => {
    const { authority: _, ...certificate } = CERTIFICATE;
    const spec = { tls: { type: 'Secret', secretRef: { name: 'own' } } };

    const objects = objectsOf(spec, { certificate });

    expect(read(find(objects, 'ConfigMap', 'reg-ca'), 'data', 'ca.crt')).toBe('CA\n');
    expect(JSON.stringify(objects)).not.toContain(Buffer.from('LEAF KEY').toString('base64').slice(0, 8));
    expect(find(objects, 'Secret', 'reg-tls')).toBeUndefined();
  });

  it.each([
    ['a ReadWriteOnce claim', {}, {}, 'Recreate'],
    [
      'a ReadWriteMany claim',
      {
        storage: {
          type: 'Filesystem',
          filesystem: { volumeClaim: { size: 1, accessMode: 'ReadWriteMany' } },
        },
      },
      {},
      'RollingUpdate',
    ],
    ['an existing shared claim', SCENARIOS['existing-claim'], {}, 'RollingUpdate'],
    [
      'an existing claim that is not shared',
      { ...SCENARIOS['existing-claim'], replicas: 1 },
      { existingClaim: undefined },
      'Recreate',
    ],
    ['a bucket', SCENARIOS['s3'], {}, 'RollingUpdate'],
    ['an emptyDir', SCENARIOS['ephemeral'], {}, 'RollingUpdate'],
  ])('replaces the pods of %s the right way', (_, spec, facts, strategy) => {
    expect(read(find(objectsOf(spec ?? {}, facts), 'Deployment'), 'spec', 'strategy', 'type')).toBe(strategy);
  });

  it('gives running requests less time than Kubernetes gives the pod', () => {
    assert(
      property(integer({ min: 2, max: 3600 }), (seconds) => {
        const registry = registryOf({ podTemplate: { spec: { terminationGracePeriodSeconds: seconds } } });
        const { drainSeconds } = serverConfig(registry, factsOf(), POD_PLACEMENT).http;

        expect(drainSeconds).toBeGreaterThan(0);
        expect(drainSeconds).toBeLessThan(seconds);
      }),
    );
  });

  it.each([
    ['log level', { logging: { level: 'Debug' } }],
    ['users', { auth: { basic: { htpasswdSecretRefs: [{ name: 'users' }] } } }],
    ['anonymous access', { auth: { anonymous: 'Pull' } }],
    ['names in the certificate', { tls: { dnsNames: ['registry.example.com'] } }],
  ])('does not restart pods for another %s', (_, spec) => {
    expect(restartHashOf(objectsOf(spec))).toBe(restartHashOf(objectsOf({})));
  });

  it.each([
    ['TLS', {}, { tls: { type: 'None' } }],
    ['lowest TLS version', {}, { tls: { minVersion: 'TLS13' } }],
    [
      'region',
      SCENARIOS['s3'],
      { ...SCENARIOS['s3'], storage: { type: 'S3', s3: { bucket: 'images', region: 'x' } } },
    ],
  ])('restarts pods for another %s', (_, before, after) => {
    expect(restartHashOf(objectsOf(after))).not.toBe(restartHashOf(objectsOf(before ?? {})));
  });

  it('restarts pods for another CA bundle of the bucket, but not for other credentials', () => {
    const bundle = { configMaps: { ca: { 'ca.crt': Buffer.from('new') } } };
    const credentials = { secrets: { s3: { AWS_ACCESS_KEY_ID: Buffer.from('new') } } };
    const before = restartHashOf(objectsOf(SCENARIOS['s3'] ?? {}));

    expect(restartHashOf(objectsOf(SCENARIOS['s3'] ?? {}, bundle))).not.toBe(before);
    expect(restartHashOf(objectsOf(SCENARIOS['s3'] ?? {}, credentials))).toBe(before);
  });

  it('knows its own names with and without port, and no wildcard', () => {
    const registry = registryOf({ tls: { dnsNames: ['registry.example.com', '*.example.com'] } });
    const facts = factsOf({ service: { clusterIPs: ['10.96.0.7', 'fd00::7'] } });

    const { hosts } = serverConfig(registry, facts, POD_PLACEMENT).http;

    expect(hosts).toEqual(
      expect.arrayContaining([
        'reg',
        'reg.apps:5000',
        'reg.apps.svc:5000',
        'reg.apps.svc.cluster.local',
        '10.96.0.7:5000',
        '[fd00::7]',
        '[fd00::7]:5000',
        'localhost:5000',
        'registry.example.com',
      ]),
    );
    expect(hosts.filter((host) => host.includes('*'))).toEqual([]);
  });

  it('listens on both families as soon as the Service has an IPv6 address', () => {
    expect(podPlacement(['10.96.0.7']).listen).toBe('0.0.0.0:5000');
    expect(podPlacement(['10.96.0.7', 'fd00::7'])).toMatchObject({
      listen: '[::]:5000',
      opsListen: '[::]:9090',
    });
  });

  it('makes no pods before it knows what they have to listen on', () => {
    const registry = registryOf({ tls: { type: 'None' } });
    const kinds = (service: Facts['service']): string[] =>
      desired(registry, factsOf({ service, certificate: undefined }), POD_PLACEMENT).map(({ kind }) => kind);

    expect(kinds(undefined)).not.toContain('Deployment');
    expect(kinds({ clusterIPs: ['10.96.0.7'] })).toContain('Deployment');
  });

  it('has no owners without a UID', () => {
    const objects = desired(registryOf({}, { uid: undefined }), factsOf(), POD_PLACEMENT);

    expect(objects.filter(({ metadata }) => metadata.ownerReferences !== undefined)).toEqual([]);
  });
});
