import { entries, ephemeral, having, inBucket, onClaim, onVolume, pods, type Spec } from './specs.ts';

/** A Registry that both the API server and the parser accept, with the same defaults. */
export interface AcceptedCase {
  readonly title: string;
  readonly spec: Spec;
  /** Unset is a name that nobody else has. */
  readonly name?: string;
}

const storage: AcceptedCase[] = [
  { title: 'the least on a volume', spec: onVolume() },
  { title: 'the least in a bucket', spec: inBucket() },
  { title: 'ephemeral storage without its member', spec: ephemeral() },
  {
    title: 'ephemeral storage with an empty member',
    spec: { ...ephemeral(), storage: { type: 'Ephemeral', ephemeral: {} } },
  },
  {
    title: 'ephemeral storage with a limit',
    spec: { ...ephemeral(), storage: { type: 'Ephemeral', ephemeral: { sizeLimit: '1Gi' } } },
  },
  { title: 'a size as a number', spec: onVolume({ size: 10_737_418_240 }) },
  { title: 'a size with a decimal point', spec: onVolume({ size: '1.5Ti' }) },
  { title: 'a size with an exponent', spec: onVolume({ size: '5e9' }) },
  { title: 'the smallest size', spec: onVolume({ size: '1n' }) },
  { title: 'a size below the smallest one', spec: onVolume({ size: '1e-30' }) },
  { title: 'a size beyond the largest one', spec: onVolume({ size: '9E999' }) },
  {
    title: 'a class and an access mode',
    spec: onVolume({ storageClassName: 'fast', accessMode: 'ReadWriteOncePod' }),
  },
  { title: 'an empty class, which is not the default class', spec: onVolume({ storageClassName: '' }) },
  {
    title: 'many replicas on a shared volume',
    spec: onVolume({ accessMode: 'ReadWriteMany' }, { replicas: 3 }),
  },
  { title: 'many replicas on an existing claim', spec: onClaim({ subPath: 'a/b' }, { replicas: 2 }) },
  { title: 'deletion of a volume', spec: onVolume({}, { deletionPolicy: 'Delete' }) },
  {
    title: 'a bucket at an endpoint',
    spec: inBucket({ region: undefined, endpoint: 'http://s3.default.svc:9000' }),
  },
  { title: 'an endpoint with a path', spec: inBucket({ endpoint: 'https://example.com/s3/' }) },
  ...['https://10.0.0.255:9000', 'http://localhost', 'https://3scale', 'https://S3.eu-1.Example.com'].map(
    (endpoint) => ({ title: `an endpoint of ${endpoint}`, spec: inBucket({ endpoint }) }),
  ),
  { title: 'an endpoint that is an IPv6 address', spec: inBucket({ endpoint: 'https://[fd00::1]:65535' }) },
  {
    title: 'a bucket with everything',
    spec: inBucket({
      bucket: 'my-bucket.example.com',
      prefix: 'a/b',
      endpoint: 'https://minio',
      addressingStyle: 'Path',
      credentialsSecretRef: { name: 'keys' },
      caBundleRef: { kind: 'Secret', name: 'ca', key: 'bundle.pem' },
    }),
  },
  { title: 'a CA bundle with defaults', spec: inBucket({ caBundleRef: { name: 'ca' } }) },
];

const tls: AcceptedCase[] = [
  { title: 'tls without fields', spec: having('tls', {}) },
  { title: 'tls of null', spec: having('tls', null) },
  { title: 'tls with a type of null', spec: having('tls', { type: null, minVersion: null }) },
  {
    title: 'tls with host names only',
    spec: having('tls', { dnsNames: ['registry.example.com', '*.example.com', 'a'] }),
  },
  { title: 'no tls', spec: having('tls', { type: 'None' }) },
  {
    title: 'a certificate of the user',
    spec: having('tls', { type: 'Secret', secretRef: { name: 'x' }, minVersion: 'TLS13' }),
  },
];

const access: AcceptedCase[] = [
  { title: 'passwords only', spec: having('auth', { basic: { htpasswdSecretRefs: [{ name: 'users' }] } }) },
  {
    title: 'passwords and anonymous pulls',
    spec: having('auth', {
      anonymous: 'Pull',
      basic: { htpasswdSecretRefs: [{ name: 'a', key: 'b' }, { name: 'c' }] },
    }),
  },
];

const objects: AcceptedCase[] = [
  ...['logging', 'monitoring', 'resources', 'podTemplate'].map((field) => ({
    title: `${field} without fields`,
    spec: having(field, {}),
  })),
  ...['logging', 'replicas', 'paused', 'deletionPolicy', 'image', 'imagePullSecrets'].map((field) => ({
    title: `${field} of null`,
    spec: having(field, null),
  })),
  { title: 'logging with half its fields', spec: having('logging', { level: 'Debug' }) },
  { title: 'a ServiceMonitor without fields', spec: having('monitoring', { serviceMonitor: {} }) },
  {
    title: 'a ServiceMonitor with labels',
    spec: having('monitoring', { serviceMonitor: { mode: 'Enabled', labels: { release: 'x' } } }),
  },
  { title: 'empty limits and requests', spec: having('resources', { limits: {}, requests: {} }) },
  {
    title: 'limits and requests',
    spec: having('resources', {
      requests: { cpu: '100m', memory: 128, 'example.com/x': 0 },
      limits: { memory: '128Mi' },
    }),
  },
  { title: 'an empty overlay of the pods', spec: having('podTemplate', { metadata: {}, spec: {} }) },
  { title: 'labels with nulls', spec: having('podTemplate', { metadata: { labels: { a: null, b: 'c' } } }) },
  {
    title: 'as many labels as there may be',
    spec: having('podTemplate', { metadata: { labels: entries(64, 'b') } }),
  },
  {
    title: 'image settings',
    spec: inBucket(
      {},
      {
        image: 'example.com/a:b',
        imagePullPolicy: 'Always',
        imagePullSecrets: [{ name: 'a' }, { name: 'b' }],
      },
    ),
  },
  { title: 'no replicas, paused', spec: ephemeral({ replicas: 0, paused: true }) },
  { title: 'the most replicas', spec: inBucket({}, { replicas: 50 }) },
];

const scheduling: AcceptedCase[] = [
  {
    title: 'affinity without fields',
    spec: pods({ affinity: {}, tolerations: [], topologySpreadConstraints: [] }),
  },
  {
    title: 'scheduling like that of a Pod',
    spec: pods({
      nodeSelector: { disk: 'ssd' },
      tolerations: [
        { operator: 'Exists' },
        { key: 'a', effect: 'NoExecute', tolerationSeconds: 30, value: 'b', operator: 'Equal' },
      ],
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [
              { matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }], matchFields: [] },
            ],
          },
          preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, preference: {} }],
        },
        podAntiAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [
            {
              topologyKey: 'kubernetes.io/hostname',
              labelSelector: { matchLabels: { a: 'b' } },
              namespaces: ['x'],
            },
          ],
        },
        podAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            {
              weight: 5,
              podAffinityTerm: {
                topologyKey: 'zone',
                namespaceSelector: {},
                matchLabelKeys: ['a'],
                mismatchLabelKeys: [],
              },
            },
          ],
        },
      },
      topologySpreadConstraints: [
        {
          maxSkew: 1,
          topologyKey: 'zone',
          whenUnsatisfiable: 'ScheduleAnyway',
          minDomains: 2,
          nodeTaintsPolicy: 'Honor',
          nodeAffinityPolicy: 'Ignore',
        },
      ],
      priorityClassName: 'high',
      runtimeClassName: 'gvisor',
      securityContext: { fsGroup: 0, runAsUser: 1, runAsGroup: 70_000 },
      terminationGracePeriodSeconds: 3600,
    }),
  },
];

const names: AcceptedCase[] = [
  { title: 'the longest name', spec: inBucket(), name: 'a'.repeat(40) },
  { title: 'the shortest name', spec: inBucket(), name: 'a' },
  { title: 'a name with digits and hyphens', spec: inBucket(), name: 'a-1--2' },
];

export const ACCEPTED: readonly AcceptedCase[] = [
  ...storage,
  ...tls,
  ...access,
  ...objects,
  ...scheduling,
  ...names,
];
