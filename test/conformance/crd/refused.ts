import { entries, ephemeral, having, inBucket, onClaim, onVolume, pods, type Spec } from './specs.ts';

/** A Registry that both refuse. */
export interface RefusedCase {
  readonly title: string;
  readonly spec: unknown;
  readonly name?: string;
  /** Everything that the parser says; the API server says it in the same words. */
  readonly errors: readonly string[];
  /** What only the API server says, because it goes on after some errors. */
  readonly alsoInCluster?: readonly string[];
}

const QUANTITY = 'Invalid value: "": must be a quantity greater than 0, such as 100Gi';
const RESOURCE = 'Invalid value: "": must be a quantity that is not negative, such as 500m or 128Mi';
const ENDPOINT =
  'spec.storage.s3.endpoint: Invalid value: "object": endpoint must be a URL such as https://minio.minio.svc:9000';
const BUCKET =
  'spec.storage.s3.bucket: Invalid value: "string": must be a bucket name: lower case letters, digits, dots and hyphens';
const PREFIX = 'spec.storage.s3.prefix: Invalid value: "string": must not begin or end with /';
const FILESYSTEM_MEMBER =
  'spec.storage.filesystem: Invalid value: "object": set filesystem if and only if type is Filesystem';
const S3_MEMBER = 'spec.storage.s3: Invalid value: "object": set s3 if and only if type is S3';
const ONE_CLAIM =
  'spec.storage.filesystem: Invalid value: "object": set exactly one of volumeClaim and existingClaim';
const SECRET_MEMBER =
  'spec.tls.secretRef: Invalid value: "object": set secretRef if and only if type is Secret';
const DNS_NAMES =
  'spec.tls.dnsNames: Invalid value: "object": dnsNames may be set only when the operator makes the certificate (type SelfSigned)';
const NOBODY =
  'spec.auth: Invalid value: "object": nobody could log in: set basic, or anonymous to Pull or PullPush';
const SIZE = 'spec.storage.filesystem.volumeClaim.size';

function dnsName(index: number): string {
  return `spec.tls.dnsNames[${index}]: Invalid value: "string": must be a host name in lower case, such as registry.example.com`;
}

function wrongType(path: string, expected: string, actual: string): string {
  return `${path}: Invalid value: "${actual}": ${path} in body must be of type ${expected}: "${actual}"`;
}

function withStorage(storage: unknown): Spec {
  return having('storage', storage);
}

const volumes: RefusedCase[] = [
  {
    title: 'two replicas on a volume for one',
    spec: onVolume({}, { replicas: 2 }),
    errors: [
      'spec.replicas: Invalid value: "object": more than one replica needs a volumeClaim with accessMode ReadWriteMany, an existing shared claim, or S3',
    ],
  },
  {
    title: 'two replicas with ephemeral storage',
    spec: ephemeral({ replicas: 2 }),
    errors: [
      'spec.replicas: Invalid value: "object": Ephemeral storage is not shared; replicas must be 0 or 1',
    ],
  },
  {
    title: 'filesystem without its member',
    spec: withStorage({ type: 'Filesystem' }),
    errors: [FILESYSTEM_MEMBER],
  },
  {
    title: 'filesystem without a claim',
    spec: withStorage({ type: 'Filesystem', filesystem: {} }),
    errors: [ONE_CLAIM],
  },
  {
    title: 'filesystem with both claims',
    spec: withStorage({
      type: 'Filesystem',
      filesystem: { volumeClaim: { size: 1 }, existingClaim: { name: 'x' } },
    }),
    errors: [ONE_CLAIM],
  },
  {
    title: 'filesystem in a Registry in a bucket',
    spec: withStorage({
      type: 'S3',
      s3: { bucket: 'abc', region: 'eu' },
      filesystem: { existingClaim: { name: 'x' } },
    }),
    errors: [FILESYSTEM_MEMBER],
  },
  { title: 's3 without its member', spec: withStorage({ type: 'S3' }), errors: [S3_MEMBER] },
  {
    title: 's3 in an ephemeral Registry',
    spec: withStorage({ type: 'Ephemeral', s3: { bucket: 'abc', region: 'eu' } }),
    errors: [S3_MEMBER],
  },
  {
    title: 'ephemeral in a Registry in a bucket',
    spec: withStorage({ type: 'S3', s3: { bucket: 'abc', region: 'eu' }, ephemeral: {} }),
    errors: [
      'spec.storage.ephemeral: Invalid value: "object": ephemeral may be set only when type is Ephemeral',
    ],
  },
  ...[
    '10GB',
    '',
    ' 1Gi',
    '1Gi ',
    '1 Gi',
    'Gi',
    '.',
    '1K',
    '1e',
    '1e3e3',
    '1.2.3',
    '0x10',
    '0',
    '-1',
    '-1Gi',
    '0Gi',
    '1,5Gi',
  ].map((size) => ({
    title: `a size of "${size}"`,
    spec: onVolume({ size }),
    errors: [`${SIZE}: ${QUANTITY}`],
  })),
  { title: 'a size of the number 0', spec: onVolume({ size: 0 }), errors: [`${SIZE}: ${QUANTITY}`] },
  {
    title: 'a size that is a boolean',
    spec: onVolume({ size: true }),
    errors: [wrongType(SIZE, 'integer,string', 'boolean')],
  },
  {
    title: 'a size that is a fraction',
    spec: onVolume({ size: 1.5 }),
    errors: [wrongType(SIZE, 'integer,string', 'number')],
  },
  {
    title: 'a size that is too long',
    spec: onVolume({ size: '1'.repeat(33) }),
    errors: [`${SIZE}: Too long: may not be more than 32 bytes`],
  },
  { title: 'no size', spec: onVolume({ size: null }), errors: [`${SIZE}: Required value`] },
  {
    title: 'an access mode of nobody',
    spec: onVolume({ accessMode: 'ReadOnlyMany' }),
    errors: [
      'spec.storage.filesystem.volumeClaim.accessMode: Unsupported value: "ReadOnlyMany": supported values: "ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"',
    ],
  },
  {
    title: 'an existing claim without a name',
    spec: onClaim({ name: null }),
    errors: ['spec.storage.filesystem.existingClaim.name: Required value'],
  },
  {
    title: 'an existing claim with an empty name',
    spec: onClaim({ name: '' }),
    errors: [
      'spec.storage.filesystem.existingClaim.name: Invalid value: "": spec.storage.filesystem.existingClaim.name in body should be at least 1 chars long',
    ],
  },
  {
    title: 'a limit of nothing',
    spec: withStorage({ type: 'Ephemeral', ephemeral: { sizeLimit: '0' } }),
    errors: [`spec.storage.ephemeral.sizeLimit: ${QUANTITY}`],
  },
];

const buckets: RefusedCase[] = [
  {
    title: 'neither region nor endpoint',
    spec: inBucket({ region: null }),
    errors: [
      'spec.storage.s3: Invalid value: "object": set region, or endpoint for a service that is not AWS',
    ],
  },
  ...[
    'minio:9000',
    'minio.minio.svc',
    'ftp://minio',
    'http:/minio',
    'https://',
    '/path',
    'HTTPS://minio',
    'https://minio:0',
    'https://minio:65536',
    'https://minio:port',
    'https://user:password@minio',
    'https://minio/?query',
    'https://minio/#fragment',
    'https://mi nio',
    ' https://minio',
    'https://minio\n',
    'https://-minio',
    'https://minio-',
    'https://10.0.0.300:9000',
    'https://10.0.0',
    'https://minio..svc',
    '',
  ].map((endpoint) => ({
    title: `an endpoint of ${JSON.stringify(endpoint)}`,
    spec: inBucket({ endpoint }),
    errors: [ENDPOINT],
  })),
  {
    title: 'a CA bundle for plain HTTP',
    spec: inBucket({ endpoint: 'http://minio', caBundleRef: { name: 'ca' } }),
    errors: [
      'spec.storage.s3.caBundleRef: Invalid value: "object": caBundleRef has no effect on an http:// endpoint',
    ],
  },
  ...['My-bucket', 'my_bucket', '-bucket', 'bucket-', 'buckét'].map((bucket) => ({
    title: `a bucket of "${bucket}"`,
    spec: inBucket({ bucket }),
    errors: [BUCKET],
  })),
  {
    title: 'a bucket that is too short',
    spec: inBucket({ bucket: 'ab' }),
    errors: [
      'spec.storage.s3.bucket: Invalid value: "ab": spec.storage.s3.bucket in body should be at least 3 chars long',
    ],
  },
  {
    title: 'no bucket',
    spec: inBucket({ bucket: null }),
    errors: ['spec.storage.s3.bucket: Required value'],
  },
  { title: 'a prefix that begins with /', spec: inBucket({ prefix: '/a' }), errors: [PREFIX] },
  { title: 'a prefix that ends with /', spec: inBucket({ prefix: 'a/' }), errors: [PREFIX] },
  { title: 'a prefix of /', spec: inBucket({ prefix: '/' }), errors: [PREFIX] },
  {
    title: 'deletion of a bucket',
    spec: inBucket({}, { deletionPolicy: 'Delete' }),
    errors: [
      'spec.deletionPolicy: Invalid value: "object": deletionPolicy Delete never empties a bucket; use Retain with S3',
    ],
  },
  {
    title: 'many mistakes at once',
    spec: inBucket({ bucket: 'My_B', prefix: '/x/', endpoint: 'minio' }),
    errors: [ENDPOINT, BUCKET, PREFIX],
  },
  {
    title: 'a schema error that leaves rules unchecked',
    spec: { ...inBucket({ bucket: 'A' }), auth: {} },
    errors: [
      'spec.storage.s3.bucket: Invalid value: "A": spec.storage.s3.bucket in body should be at least 3 chars long',
    ],
    alsoInCluster: [BUCKET, NOBODY],
  },
];

const transport: RefusedCase[] = [
  { title: 'a Secret without a reference', spec: having('tls', { type: 'Secret' }), errors: [SECRET_MEMBER] },
  {
    title: 'a reference without type Secret',
    spec: having('tls', { secretRef: { name: 'x' } }),
    errors: [SECRET_MEMBER],
  },
  {
    title: 'host names without TLS',
    spec: having('tls', { type: 'None', dnsNames: ['a'] }),
    errors: [DNS_NAMES],
  },
  {
    title: 'host names for a certificate of the user',
    spec: having('tls', { type: 'Secret', secretRef: { name: 'x' }, dnsNames: ['a'] }),
    errors: [DNS_NAMES],
  },
  ...['Registry.example.com', 'a_b', '-a', 'a-', 'a.*', '**.a', 'a b', '*', 'a.'].map((name) => ({
    title: `a host name of "${name}"`,
    spec: having('tls', { dnsNames: ['ok', name] }),
    errors: [dnsName(1)],
  })),
  {
    title: 'the same host name twice',
    spec: having('tls', { dnsNames: ['a', 'a'] }),
    errors: ['spec.tls.dnsNames[1]: Duplicate value: "a"'],
  },
  {
    title: 'too many host names',
    spec: having('tls', { dnsNames: Object.keys(entries(33, '')) }),
    errors: ['spec.tls.dnsNames: Too many: 33: must have at most 32 items'],
  },
  {
    title: 'a host name of null',
    spec: having('tls', { dnsNames: [null] }),
    errors: [wrongType('spec.tls.dnsNames[0]', 'string', 'null')],
  },
  {
    title: 'an old version of TLS',
    spec: having('tls', { minVersion: 'TLS11' }),
    errors: ['spec.tls.minVersion: Unsupported value: "TLS11": supported values: "TLS12", "TLS13"'],
  },
  {
    title: 'a kind of certificate that does not exist',
    spec: having('tls', { type: 'ACME' }),
    errors: ['spec.tls.type: Unsupported value: "ACME": supported values: "SelfSigned", "Secret", "None"'],
  },
];

const access: RefusedCase[] = [
  { title: 'no auth', spec: having('auth', null), errors: ['spec.auth: Required value'] },
  { title: 'auth without fields', spec: having('auth', {}), errors: [NOBODY] },
  { title: 'auth that lets nobody in', spec: having('auth', { anonymous: 'None' }), errors: [NOBODY] },
  {
    title: 'anonymous deletes',
    spec: having('auth', { anonymous: 'All' }),
    errors: ['spec.auth.anonymous: Unsupported value: "All": supported values: "None", "Pull", "PullPush"'],
  },
  {
    title: 'passwords of nowhere',
    spec: having('auth', { basic: {} }),
    errors: ['spec.auth.basic.htpasswdSecretRefs: Required value'],
  },
  {
    title: 'passwords of no Secret',
    spec: having('auth', { basic: { htpasswdSecretRefs: [] } }),
    errors: [
      'spec.auth.basic.htpasswdSecretRefs: Invalid value: 0: spec.auth.basic.htpasswdSecretRefs in body should have at least 1 items',
    ],
  },
];

const simple: RefusedCase[] = [
  {
    title: 'replicas as text',
    spec: having('replicas', '2'),
    errors: [wrongType('spec.replicas', 'integer', 'string')],
  },
  {
    title: 'half a replica',
    spec: having('replicas', 1.5),
    errors: [wrongType('spec.replicas', 'integer', 'number')],
  },
  {
    title: 'too many replicas',
    spec: having('replicas', 51),
    errors: ['spec.replicas: Invalid value: 51: spec.replicas in body should be less than or equal to 50'],
  },
  {
    title: 'fewer replicas than none',
    spec: having('replicas', -1),
    errors: ['spec.replicas: Invalid value: -1: spec.replicas in body should be greater than or equal to 0'],
  },
  {
    title: 'paused as text',
    spec: having('paused', 'yes'),
    errors: [wrongType('spec.paused', 'boolean', 'string')],
  },
  {
    title: 'an empty image',
    spec: having('image', ''),
    errors: ['spec.image: Invalid value: "": spec.image in body should be at least 1 chars long'],
  },
  {
    title: 'a long image',
    spec: having('image', 'x'.repeat(513)),
    errors: ['spec.image: Too long: may not be more than 512 bytes'],
  },
  {
    title: 'an image that is an object',
    spec: having('image', {}),
    errors: [wrongType('spec.image', 'string', 'object')],
  },
  {
    title: 'a pull policy that does not exist',
    spec: having('imagePullPolicy', 'Sometimes'),
    errors: [
      'spec.imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"',
    ],
  },
  {
    title: 'the same pull secret twice',
    spec: having('imagePullSecrets', [{ name: 'a' }, { name: 'a' }]),
    errors: ['spec.imagePullSecrets[1]: Duplicate value: {"name":"a"}'],
  },
  {
    title: 'a pull secret without a name',
    spec: having('imagePullSecrets', [{}]),
    errors: ['spec.imagePullSecrets[0].name: Required value'],
  },
  {
    title: 'a pull secret of null',
    spec: having('imagePullSecrets', [null]),
    errors: [wrongType('spec.imagePullSecrets[0]', 'object', 'null')],
  },
  {
    title: 'too many pull secrets',
    spec: having(
      'imagePullSecrets',
      Object.keys(entries(9, '')).map((name) => ({ name })),
    ),
    errors: ['spec.imagePullSecrets: Too many: 9: must have at most 8 items'],
  },
  {
    title: 'storage of the wrong case',
    spec: withStorage({ type: 's3' }),
    errors: ['spec.storage.type: Unsupported value: "s3": supported values: "Filesystem", "S3", "Ephemeral"'],
  },
  {
    title: 'storage without a type',
    spec: withStorage({ type: null }),
    errors: ['spec.storage.type: Required value'],
  },
  {
    title: 'storage as text',
    spec: withStorage('S3'),
    errors: [wrongType('spec.storage', 'object', 'string')],
  },
  {
    title: 'storage as a list',
    spec: withStorage([]),
    errors: [wrongType('spec.storage', 'object', 'array')],
  },
  { title: 'an empty spec', spec: {}, errors: ['spec.storage: Required value', 'spec.auth: Required value'] },
  { title: 'no spec', spec: undefined, errors: ['spec: Required value'] },
  { title: 'a spec of null', spec: null, errors: ['spec: Required value'] },
  { title: 'a spec as text', spec: 'storage', errors: [wrongType('spec', 'object', 'string')] },
  {
    title: 'a log level of the wrong case',
    spec: having('logging', { level: 'info' }),
    errors: [
      'spec.logging.level: Unsupported value: "info": supported values: "Error", "Warn", "Info", "Debug"',
    ],
  },
  {
    title: 'a ServiceMonitor as a boolean',
    spec: having('monitoring', { serviceMonitor: true }),
    errors: [wrongType('spec.monitoring.serviceMonitor', 'object', 'boolean')],
  },
];

const podParts: RefusedCase[] = [
  {
    title: 'limits that are no quantities',
    spec: having('resources', { limits: { cpu: '1x', memory: -1 } }),
    errors: [`spec.resources.limits[cpu]: ${RESOURCE}`, `spec.resources.limits[memory]: ${RESOURCE}`],
  },
  {
    title: 'requests that are no quantities',
    spec: having('resources', { requests: { cpu: 'many' } }),
    errors: [`spec.resources.requests[cpu]: ${RESOURCE}`],
  },
  {
    title: 'a limit that is a boolean',
    spec: having('resources', { limits: { cpu: true } }),
    errors: [wrongType('spec.resources.limits.cpu', 'integer,string', 'boolean')],
  },
  {
    title: 'too many limits',
    spec: having('resources', { limits: entries(17, 1) }),
    errors: ['spec.resources.limits: Too many: 17: must have at most 16 items'],
  },
  {
    title: 'a label that is a number',
    spec: having('podTemplate', { metadata: { labels: { a: 1 } } }),
    errors: [wrongType('spec.podTemplate.metadata.labels.a', 'string', 'integer')],
  },
  {
    title: 'a label that is too long',
    spec: having('podTemplate', { metadata: { labels: { a: 'x'.repeat(64) } } }),
    errors: ['spec.podTemplate.metadata.labels.a: Too long: may not be more than 63 bytes'],
  },
  {
    title: 'too many labels',
    spec: having('podTemplate', { metadata: { labels: entries(65, 'b') } }),
    errors: ['spec.podTemplate.metadata.labels: Too many: 65: must have at most 64 items'],
  },
  {
    title: 'a toleration of the wrong case',
    spec: pods({ tolerations: [{ operator: 'exists' }] }),
    errors: [
      'spec.podTemplate.spec.tolerations[0].operator: Unsupported value: "exists": supported values: "Equal", "Exists"',
    ],
  },
  {
    title: 'an empty spread constraint',
    spec: pods({ topologySpreadConstraints: [{}] }),
    errors: ['maxSkew', 'topologyKey', 'whenUnsatisfiable'].map(
      (field) => `spec.podTemplate.spec.topologySpreadConstraints[0].${field}: Required value`,
    ),
  },
  {
    title: 'a grace period that is too long',
    spec: pods({ terminationGracePeriodSeconds: 3601 }),
    errors: [
      'spec.podTemplate.spec.terminationGracePeriodSeconds: Invalid value: 3601: spec.podTemplate.spec.terminationGracePeriodSeconds in body should be less than or equal to 3600',
    ],
  },
  {
    title: 'root',
    spec: pods({ securityContext: { runAsUser: 0 } }),
    errors: [
      'spec.podTemplate.spec.securityContext.runAsUser: Invalid value: 0: spec.podTemplate.spec.securityContext.runAsUser in body should be greater than or equal to 1',
    ],
  },
];

const unknownFields: RefusedCase[] = [
  { title: 'a misspelt field', spec: having('replica', 2), errors: ['unknown field "spec.replica"'] },
  {
    title: 'a misspelt field of null',
    spec: having('replica', null),
    errors: ['unknown field "spec.replica"'],
  },
  { title: 'a misspelt auth', spec: { ...inBucket(), atuh: {} }, errors: ['unknown field "spec.atuh"'] },
  {
    title: 'misspelt fields at several depths',
    spec: inBucket({ accessKey: 'x', caBundleRef: { name: 'a', nmae: 'b' } }, { replica: 1 }),
    errors: [
      'unknown field "spec.replica"',
      'unknown field "spec.storage.s3.accessKey"',
      'unknown field "spec.storage.s3.caBundleRef.nmae"',
    ],
  },
  {
    title: 'a misspelt toleration',
    spec: pods({ tolerations: [{ operator: 'Exists' }, { operater: 'Exists' }] }),
    errors: ['unknown field "spec.podTemplate.spec.tolerations[1].operater"'],
  },
  {
    title: 'a misspelt affinity',
    spec: pods({ affinity: { nodeAfinity: {} } }),
    errors: ['unknown field "spec.podTemplate.spec.affinity.nodeAfinity"'],
  },
  {
    title: 'resource claims',
    spec: having('resources', { claims: [] }),
    errors: ['unknown field "spec.resources.claims"'],
  },
  {
    title: 'a field of an htpasswd reference',
    spec: having('auth', { basic: { htpasswdSecretRefs: [{ name: 'a', password: 'b' }] } }),
    errors: ['unknown field "spec.auth.basic.htpasswdSecretRefs[0].password"'],
  },
];

const names: RefusedCase[] = [
  {
    title: 'a name with a dot',
    spec: inBucket(),
    name: 'a.b',
    errors: [
      'metadata.name: Invalid value: "object": metadata.name must not contain a dot: a Service gets the same name',
    ],
  },
  {
    title: 'a name that begins with a digit',
    spec: inBucket(),
    name: '1a',
    errors: [
      'metadata.name: Invalid value: "object": metadata.name must begin with a letter: a Service gets the same name',
    ],
  },
  {
    title: 'a name that is too long',
    spec: inBucket(),
    name: 'a'.repeat(41),
    errors: ['metadata.name: Too long: may not be more than 40 bytes'],
  },
];

export const REFUSED: readonly RefusedCase[] = [
  ...volumes,
  ...buckets,
  ...transport,
  ...access,
  ...simple,
  ...podParts,
  ...unknownFields,
  ...names,
];
