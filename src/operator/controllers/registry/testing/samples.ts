import { API_VERSION, REGISTRY_KIND } from '../../../../api/group.ts';
import { parseRegistry } from '../../../../api/v1alpha1/parse.ts';
import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { KubeObject } from '../../../kube/types.ts';
import type { CertificateFacts, Facts } from '../facts.ts';

/** Values that the tests of this folder share. */

export const NOW = new Date('2026-01-01T00:00:00Z');
const UID = '00000000-0000-0000-0000-000000000001';

export const VOLUME = { type: 'Filesystem', filesystem: { volumeClaim: { size: '100Gi' } } };
export const BUCKET = { type: 'S3', s3: { bucket: 'images', region: 'eu-central-1' } };

const HASH = `$2b$10$${'a'.repeat(53)}`;

/** A Registry as the API server has stored it: defaults filled in. */
export function registryOf(spec: object = {}, metadata: object = {}): Registry {
  const { registry, errors } = parseRegistry({
    apiVersion: API_VERSION,
    kind: REGISTRY_KIND,
    metadata: { name: 'reg', namespace: 'apps', uid: UID, generation: 1, ...metadata },
    spec: { storage: VOLUME, auth: { anonymous: 'PullPush' }, ...spec },
  });
  if (registry === undefined) throw new Error(errors.join('\n'));
  return registry;
}

export const CERTIFICATE: CertificateFacts = {
  certificate: 'LEAF\n',
  key: 'LEAF KEY\n',
  caCertificate: 'CA\n',
  authority: { certificate: 'CA\n', key: 'CA KEY\n' },
  info: {
    notBefore: NOW,
    notAfter: new Date('2026-04-01T00:00:00Z'),
    names: ['reg.apps.svc'],
    sha256Fingerprint: 'f'.repeat(64),
    keyMatches: true,
  },
  renewalTime: new Date('2026-03-02T00:00:00Z'),
};

/** A world in which everything that the samples refer to is there. */
export function factsOf(overrides: Partial<Facts> = {}): Facts {
  return {
    now: NOW,
    operator: { image: 'ghcr.io/example/registry:1.2.3', version: '1.2.3', clusterDomain: 'cluster.local' },
    service: { clusterIPs: ['10.96.0.7'] },
    certificate: CERTIFICATE,
    secrets: {
      users: { htpasswd: Buffer.from(`alice:${HASH}\n`) },
      s3: { AWS_ACCESS_KEY_ID: Buffer.from('id'), AWS_SECRET_ACCESS_KEY: Buffer.from('secret') },
    },
    configMaps: { ca: { 'ca.crt': Buffer.from('bundle') } },
    live: [],
    serves: { serviceMonitor: false },
    pods: [],
    ...overrides,
  };
}

/** An object of the cluster that this Registry controls. */
export function ownedBy(registry: Registry, object: KubeObject): KubeObject {
  const { apiVersion, kind, metadata } = registry;
  const owner = { apiVersion, kind, name: metadata.name, uid: metadata.uid ?? '', controller: true };
  return { ...object, metadata: { ...object.metadata, ownerReferences: [owner] } };
}

/** A Deployment with the status of Kubernetes, all of whose pods serve unless `status` says otherwise. */
export function rolledOut(deployment: KubeObject, replicas: number, status: object = {}): KubeObject {
  const conditions = [{ type: 'Progressing', status: 'True', reason: 'NewReplicaSetAvailable' }];
  const counts = {
    replicas,
    updatedReplicas: replicas,
    readyReplicas: replicas,
    availableReplicas: replicas,
  };
  return {
    ...deployment,
    metadata: { ...deployment.metadata, generation: 1 },
    status: { observedGeneration: 1, ...counts, conditions, ...status },
  };
}
