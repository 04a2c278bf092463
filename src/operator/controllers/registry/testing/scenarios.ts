import { BUCKET, VOLUME } from './samples.ts';

const S3 = {
  ...BUCKET.s3,
  endpoint: 'https://minio.minio.svc:9000',
  credentialsSecretRef: { name: 's3' },
  caBundleRef: { name: 'ca' },
};

/** Specs that between them use every field. */
export const SCENARIOS: Readonly<Record<string, object>> = {
  minimal: {},
  'basic-auth': {
    auth: {
      anonymous: 'Pull',
      basic: { htpasswdSecretRefs: [{ name: 'users' }, { name: 'users', key: 'htpasswd' }] },
    },
  },
  s3: {
    replicas: 3,
    storage: { type: 'S3', s3: { ...S3, prefix: 'team/a', addressingStyle: 'Path' } },
    logging: { level: 'Debug', requests: 'None' },
  },
  's3-ca-secret': {
    storage: { type: 'S3', s3: { ...S3, caBundleRef: { kind: 'Secret', name: 'ca', key: 'x.pem' } } },
  },
  ephemeral: { storage: { type: 'Ephemeral', ephemeral: { sizeLimit: '1Gi' } }, tls: { type: 'None' } },
  'existing-claim': {
    replicas: 2,
    storage: { type: 'Filesystem', filesystem: { existingClaim: { name: 'shared', subPath: 'a/b' } } },
    tls: { type: 'Secret', secretRef: { name: 'own' }, minVersion: 'TLS13' },
  },
  shared: {
    replicas: 2,
    storage: {
      type: 'Filesystem',
      filesystem: { volumeClaim: { size: 5, storageClassName: 'nfs', accessMode: 'ReadWriteMany' } },
    },
    tls: { dnsNames: ['registry.example.com', '*.example.com'] },
    monitoring: { serviceMonitor: { mode: 'Enabled', labels: { release: 'prometheus' } } },
  },
  overlay: {
    storage: VOLUME,
    deletionPolicy: 'Delete',
    image: 'registry.example.com/registry@sha256:abc',
    imagePullPolicy: 'Always',
    imagePullSecrets: [{ name: 'pull' }],
    resources: { requests: { cpu: '100m', memory: '1Gi' }, limits: { memory: '2Gi' } },
    podTemplate: {
      metadata: {
        labels: { team: 'a', 'registry-operator.dev/registry': 'mine' },
        annotations: { note: 'b', 'registry-operator.dev/restart-hash': 'mine' },
      },
      spec: {
        nodeSelector: { disk: 'ssd' },
        tolerations: [{ key: 'dedicated', operator: 'Exists' }],
        affinity: {
          nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] } },
        },
        topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'rack', whenUnsatisfiable: 'DoNotSchedule' }],
        priorityClassName: 'high',
        runtimeClassName: 'gvisor',
        securityContext: { fsGroup: 2000, runAsUser: 2001, runAsGroup: 2002 },
        terminationGracePeriodSeconds: 600,
      },
    },
  },
};
