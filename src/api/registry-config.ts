import * as z from 'zod';

/**
 * The configuration file of the registry server: written by the operator (and by `operator local`), or by
 * hand, and read by `registry serve --config FILE` as YAML or JSON.
 *
 * Secrets are never values in it: every secret is the path of a file.
 */

/** `host:port`; the host may be an IPv6 address in brackets. Port 0 lets the system choose. */
const listenAddress = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[^:[\]]*):\d{1,5}$/, 'must be HOST:PORT, such as 0.0.0.0:5000');

const absolutePath = z.string().regex(/^\//, 'must be an absolute path');

const FilesystemStorage = z.strictObject({
  driver: z.literal('filesystem'),
  rootDirectory: absolutePath.describe(
    'Folder that holds the content; the layout below it is that of distribution.',
  ),
  sync: z
    .enum(['Always', 'Never'])
    .default('Always')
    .describe(
      'Always syncs files and folders to the disk before a push is acknowledged. Never leaves that to the system: a power cut may then lose or damage pushes that were acknowledged.',
    ),
});

const MemoryStorage = z.strictObject({ driver: z.literal('memory') });

const S3Storage = z.strictObject({
  driver: z.literal('s3'),
  bucket: z.string().min(3).max(63).describe('Name of an existing bucket.'),
  prefix: z.string().max(512).optional().describe('Prefix of all keys, without slashes at its ends.'),
  region: z.string().max(63).optional().describe('Region; us-east-1 when an endpoint is set without one.'),
  endpoint: z.url().optional().describe('URL of an S3 compatible service; unset is AWS.'),
  addressingStyle: z
    .enum(['Auto', 'Path', 'VirtualHosted'])
    .default('Auto')
    .describe('How the bucket is addressed. Auto is Path with an endpoint, VirtualHosted without.'),
  credentialsDirectory: absolutePath
    .optional()
    .describe(
      'Folder with the files AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and optionally AWS_SESSION_TOKEN, read again when they change. Unset uses the SDK default chain.',
    ),
  caBundleFile: absolutePath
    .optional()
    .describe('PEM file used in place of the system CAs for this connection.'),
});

export const StorageConfig = z.discriminatedUnion('driver', [FilesystemStorage, MemoryStorage, S3Storage]);
export type StorageConfig = z.infer<typeof StorageConfig>;

const TlsConfig = z.strictObject({
  certificateFile: absolutePath.describe('PEM chain, leaf first; read again when it changes.'),
  keyFile: absolutePath.describe('PEM private key; read again when it changes.'),
  minVersion: z.enum(['TLS12', 'TLS13']).default('TLS12').describe('Lowest TLS version.'),
});

/** Whether a text is the URL of a server, to which paths can be added. A password in it would be told to everybody. */
export function isBaseUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) return false;
  return url.username === '' && url.password === '' && !/[?#]/.test(text);
}

const baseUrl = z
  .string()
  .max(2048)
  .refine(isBaseUrl, 'must be an http or https URL without user, query and fragment');

/** An address or a network, such as 10.0.0.0/8 or fd00::/8. */
const network = z.union([z.cidrv4(), z.cidrv6(), z.ipv4(), z.ipv6()], {
  error: 'must be an IP address or a network such as 10.0.0.0/8',
});

const HttpConfig = z.strictObject({
  listen: listenAddress.default('0.0.0.0:5000').describe('Address of the registry API.'),
  tls: TlsConfig.optional().describe('Native TLS; unset is plain HTTP.'),
  hosts: z
    .array(z.string().max(260))
    .max(128)
    .default([])
    .describe('Further host[:port] names of this registry; a ?ns= that names one of them is local content.'),
  externalURL: baseUrl
    .optional()
    .describe(
      'URL by which clients outside reach this registry. Requests that come by its host get absolute URLs below it in Location and Link; all others get relative ones.',
    ),
  trustedProxies: z
    .array(network)
    .max(64)
    .default([])
    .describe(
      'Addresses of proxies in front, whose Forwarded and X-Forwarded-* headers count. Those of others are ignored.',
    ),
  warning: z
    .string()
    .regex(/^[\x20-\x7e]{1,256}$/, 'must be 1 to 256 printable ASCII characters')
    .optional()
    .describe('Text that clients are shown with every answer, in a Warning header; such as a planned move.'),
  maxHeaderBytes: z
    .int()
    .min(4096)
    .max(1 << 20)
    .default(32 * 1024)
    .describe('Longest head of a request, in bytes.'),
  bufferBytes: z
    .int()
    .min(1 << 20)
    .optional()
    .describe(
      'Bound of all stream buffers, half for pulls and half for pushes; default a quarter of the cgroup memory limit, at most 128 MiB. A pull beyond it gets 32 KiB, a push smaller buffers. Half as much again may be held for manifests and lists of more than 64 KiB, which are refused with 503 beyond that.',
    ),
  drainSeconds: z.int().min(0).max(3600).default(25).describe('Time that running requests get at SIGTERM.'),
  processes: z
    .union([z.int().min(1).max(64), z.literal('auto')], {
      error: 'must be a whole number from 1 to 64, or auto',
    })
    .default(1)
    .describe(
      'Processes that serve on the one port; auto is one for each CPU that the container may use. With more than one, limits and bufferBytes are divided among them.',
    ),
});

export const AuthConfig = z.strictObject({
  anonymous: z
    .enum(['None', 'Pull', 'PullPush'])
    .default('None')
    .describe('What clients without credentials may do. Deletes need a user unless anonymousDelete is set.'),
  basic: z
    .strictObject({
      htpasswdFiles: z
        .array(absolutePath)
        .min(1)
        .max(16)
        .describe('Files with htpasswd lines (bcrypt), read again when they change; later files win.'),
      realm: z.string().max(128).default('registry').describe('Realm of the Basic challenge.'),
    })
    .optional()
    .describe('User names and passwords.'),
  anonymousDelete: z.boolean().default(false).describe('Lets clients without credentials delete. For tests.'),
});
export type AuthConfig = z.infer<typeof AuthConfig>;

export const LoggingConfig = z.strictObject({
  level: z.enum(['Error', 'Warn', 'Info', 'Debug']).default('Info').describe('Lowest level that is written.'),
  requests: z.enum(['All', 'Failed', 'None']).default('All').describe('Which requests are logged.'),
});
export type LoggingConfig = z.infer<typeof LoggingConfig>;

const concurrency = (maxRunning: number) =>
  z
    .strictObject({
      maxRunning: z
        .int()
        .min(1)
        .max(100_000)
        .default(maxRunning)
        .describe('Requests that run at once; one client alone gets at most three quarters of them.'),
      maxQueued: z
        .int()
        .min(0)
        .max(100_000)
        .default(2048)
        .describe('Requests that wait for their turn; one more is answered 503.'),
      maxWaitSeconds: z.int().min(0).max(3600).default(30).describe('Longest wait; then the answer is 503.'),
    })
    .prefault({});

export const LimitsConfig = z.strictObject({
  read: concurrency(1024).describe('Requests that read: GET and HEAD.'),
  write: concurrency(256).describe('Requests that write or delete.'),
  perClient: z
    .strictObject({
      maxRunning: z
        .int()
        .min(1)
        .optional()
        .describe(
          'Requests of one client that run or wait at once; unset is no limit, one more is answered 429.',
        ),
      requestsPerSecond: z
        .number()
        .positive()
        .optional()
        .describe('Requests that one client may make in a second in the long run; unset is no limit.'),
      burst: z
        .int()
        .min(1)
        .default(100)
        .describe('Requests that a client may make at once before requestsPerSecond counts.'),
      maxOpenUploads: z
        .int()
        .min(1)
        .default(1000)
        .describe(
          'Upload sessions that one client has open at once on this replica; one more is answered 429.',
        ),
    })
    .prefault({})
    .describe('A client is a user, or without one an address.'),
  maxManifestBytes: z
    .int()
    .min(64 * 1024)
    .max(64 << 20)
    .default(4 << 20)
    .describe('Longest manifest, in bytes. The specification asks for at least 4 MiB.'),
  maxBlobBytes: z.int().min(1).optional().describe('Longest blob, in bytes; unset is no limit.'),
  headerSeconds: z.int().min(1).max(3600).default(30).describe('Time that the head of a request may take.'),
  bodyIdleSeconds: z
    .int()
    .min(1)
    .max(3600)
    .default(120)
    .describe(
      'A request whose body brings no byte for so long is answered 408, and its connection closed; one on which the client takes nothing of an answer for so long is cut off.',
    ),
  minBodyBytesPerSecond: z
    .int()
    .min(0)
    .default(64)
    .describe('Slowest body that is received, on average over bodyIdleSeconds; 0 is no limit.'),
});
export type LimitsConfig = z.infer<typeof LimitsConfig>;

export const RegistryConfig = z.strictObject({
  storage: StorageConfig.describe('Where the content is kept.'),
  http: HttpConfig.prefault({}).describe('The registry API.'),
  ops: z
    .strictObject({
      listen: listenAddress.default('0.0.0.0:9090').describe('Address of /livez, /readyz and /metrics.'),
    })
    .prefault({})
    .describe('The operations port.'),
  auth: AuthConfig.describe('Who may do what.'),
  logging: LoggingConfig.prefault({}).describe('Logs.'),
  limits: LimitsConfig.prefault({}).describe('What clients may take, so that others go on.'),
  delete: z
    .strictObject({
      enabled: z
        .boolean()
        .default(true)
        .describe('Whether anything may be deleted; else every delete is 405.'),
    })
    .prefault({})
    .describe('Deletes of tags, manifests, blobs and repositories.'),
  manifests: z
    .strictObject({
      allowSparse: z
        .boolean()
        .default(false)
        .describe('Takes manifests and indexes whose parts are not in the repository.'),
    })
    .prefault({})
    .describe('What manifests must be.'),
  uploads: z
    .strictObject({
      purgeAfterSeconds: z
        .int()
        .min(3600)
        .default(7 * 24 * 3600)
        .describe('An upload session that nobody used for so long is removed.'),
      purgeIntervalSeconds: z
        .int()
        .min(60)
        .default(6 * 3600)
        .describe('Time between looks for such sessions.'),
    })
    .prefault({})
    .describe('Upload sessions.'),
});
/** The configuration as the server uses it: every default is filled in. */
export type RegistryConfig = z.infer<typeof RegistryConfig>;
/** The configuration as it is written in the file. */
export type RegistryConfigInput = z.input<typeof RegistryConfig>;

/**
 * The settings that a running server cannot take over. Everything else (`auth`, `logging`, `limits`, `delete`,
 * `manifests`, names and headers below `http`, and the contents of every file that is named) is reloaded in place.
 */
export function restartSettings(config: RegistryConfigInput): unknown {
  const { storage, ops, uploads } = config;
  const {
    hosts: _,
    externalURL: _url,
    trustedProxies: _proxies,
    warning: _warning,
    ...http
  } = config.http ?? {};
  return { storage, ops, ...(uploads ? { uploads } : {}), http: { ...http, hosts: [] } };
}

/**
 * A configuration as a process takes it that joins a running server: the settings that need a restart are those of the
 * server, everything else is new.
 */
export function withRestartSettingsOf(running: RegistryConfig, next: RegistryConfig): RegistryConfig {
  const { storage, ops, uploads } = running;
  const { hosts, externalURL, trustedProxies, warning } = next.http;
  return {
    ...next,
    storage,
    ops,
    uploads,
    http: { ...running.http, hosts, externalURL, trustedProxies, warning },
  };
}
