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

const HttpConfig = z.strictObject({
  listen: listenAddress.default('0.0.0.0:5000').describe('Address of the registry API.'),
  tls: TlsConfig.optional().describe('Native TLS; unset is plain HTTP.'),
  hosts: z
    .array(z.string().max(260))
    .max(128)
    .default([])
    .describe('Further host[:port] names of this registry; a ?ns= that names one of them is local content.'),
  bufferBytes: z
    .int()
    .min(1 << 20)
    .optional()
    .describe('Bound of all stream buffers; default a quarter of the cgroup memory limit, at most 128 MiB.'),
  drainSeconds: z.int().min(0).max(3600).default(25).describe('Time that running requests get at SIGTERM.'),
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
});
/** The configuration as the server uses it: every default is filled in. */
export type RegistryConfig = z.infer<typeof RegistryConfig>;
/** The configuration as it is written in the file. */
export type RegistryConfigInput = z.input<typeof RegistryConfig>;

/**
 * The settings that a running server cannot take over. Everything else (`auth`, `logging`, `http.hosts`,
 * and the contents of every file that is named) is reloaded in place.
 */
export function restartSettings(config: RegistryConfig): unknown {
  const { storage, ops, http } = config;
  return { storage, ops, http: { ...http, hosts: [] } };
}
