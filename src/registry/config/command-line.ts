import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { isBaseUrl, type RegistryConfigInput } from '../../api/registry-config.ts';
import { isLoopback, parseAddress } from '../../shared/address.ts';
import { AppError, errorMessage } from '../../shared/errors.ts';

/** A command line that cannot be understood. */
export class UsageError extends AppError {
  override readonly name = 'UsageError';

  constructor(message: string) {
    super('USAGE', message);
  }
}

export type Command =
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'serve'; readonly file: string }
  | { readonly kind: 'serve'; readonly config: RegistryConfigInput };

export const HELP = `Usage:
  registry serve --config FILE
  registry serve --data DIR --listen HOST:PORT [options]

Serves an OCI registry, either as a configuration file says (YAML or JSON) or from a folder.

Options:
  --config FILE              configuration file; no other option goes with it
  --data DIR                 folder that holds the content
  --listen HOST:PORT         address of the registry API
  --tls-cert FILE            certificate chain (PEM); together with --tls-key
  --tls-key FILE             private key (PEM)
  --htpasswd FILE            users and bcrypt hashes, as htpasswd -B writes them
  --anonymous None|Pull|PullPush
                             what clients without a password may do; None with --htpasswd, else PullPush
                             on a loopback address and no default elsewhere
  --allow-anonymous-delete   lets clients without a password delete, for tests
  --disable-delete           lets nobody delete anything
  --allow-sparse             takes manifests and indexes whose parts are not in the repository
  --external-url URL         how clients outside reach this registry; requests that come by its host get
                             absolute URLs
  --ops HOST:PORT            address of /livez, /readyz and /metrics; default 127.0.0.1:9090
  --help                     show this text
  --version                  show the version

Certificate, key and htpasswd file are read again when they change.
`;

const OPTIONS = {
  config: { type: 'string' },
  data: { type: 'string' },
  listen: { type: 'string' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  htpasswd: { type: 'string' },
  anonymous: { type: 'string' },
  'allow-anonymous-delete': { type: 'boolean' },
  'disable-delete': { type: 'boolean' },
  'allow-sparse': { type: 'boolean' },
  'external-url': { type: 'string' },
  ops: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const;

interface Flags {
  readonly config?: string;
  readonly data?: string;
  readonly listen?: string;
  readonly 'tls-cert'?: string;
  readonly 'tls-key'?: string;
  readonly htpasswd?: string;
  readonly anonymous?: string;
  readonly 'allow-anonymous-delete'?: boolean;
  readonly 'disable-delete'?: boolean;
  readonly 'allow-sparse'?: boolean;
  readonly 'external-url'?: string;
  readonly ops?: string;
  readonly help?: boolean;
  readonly version?: boolean;
}

/**
 * Reads the arguments of `registry`.
 *
 * @param cwd folder that relative paths start from
 * @throws UsageError
 */
export function parseCommandLine(args: readonly string[], cwd: string): Command {
  const { values, positionals } = parse(args);
  if (values.help === true) return { kind: 'help' };
  if (values.version === true) return { kind: 'version' };
  const [command, ...rest] = positionals;
  if (command === undefined) throw new UsageError('a command is missing; did you mean "registry serve"?');
  if (command !== 'serve') throw new UsageError(`unknown command "${command}"; the only one is serve`);
  if (rest.length > 0) throw new UsageError(`unexpected argument "${rest.join(' ')}"`);
  return serveCommand(values, cwd);
}

function parse(args: readonly string[]): { values: Flags; positionals: string[] } {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new UsageError(errorMessage(error));
  }
}

function serveCommand(flags: Flags, cwd: string): Command {
  if (flags.config !== undefined) {
    const others = Object.keys(flags).filter((name) => name !== 'config');
    if (others.length > 0) throw new UsageError(`--${others[0]} cannot be used together with --config`);
    return { kind: 'serve', file: resolve(cwd, flags.config) };
  }
  if (flags.data === undefined) throw new UsageError('--config FILE or --data DIR is needed');
  if (flags.listen === undefined) throw new UsageError('--listen HOST:PORT is needed with --data');
  const listen = checkAddress('--listen', flags.listen);
  const ops = checkAddress('--ops', flags.ops ?? '127.0.0.1:9090');
  const deletes = deletesOf(flags);
  const config: RegistryConfigInput = {
    storage: { driver: 'filesystem', rootDirectory: resolve(cwd, flags.data) },
    http: { listen, ...tlsOf(flags, cwd), ...externalUrlOf(flags) },
    ops: { listen: ops },
    auth: {
      anonymous: anonymousOf(flags),
      anonymousDelete: deletes.anonymous,
      ...(flags.htpasswd === undefined ? {} : { basic: { htpasswdFiles: [resolve(cwd, flags.htpasswd)] } }),
    },
    delete: { enabled: deletes.enabled },
    manifests: { allowSparse: flags['allow-sparse'] ?? false },
  };
  return { kind: 'serve', config };
}

function deletesOf(flags: Flags): { enabled: boolean; anonymous: boolean } {
  const anonymous = flags['allow-anonymous-delete'] ?? false;
  const enabled = !(flags['disable-delete'] ?? false);
  if (anonymous && !enabled) {
    throw new UsageError('--allow-anonymous-delete cannot be used together with --disable-delete');
  }
  return { enabled, anonymous };
}

function externalUrlOf({ 'external-url': url }: Flags): { externalURL?: string } {
  if (url === undefined) return {};
  if (isBaseUrl(url)) return { externalURL: url };
  // Not repeated, as it may hold a password.
  throw new UsageError(
    '--external-url must be an http or https URL without user, query and fragment, such as https://r.example.com',
  );
}

function checkAddress(flag: string, text: string): string {
  try {
    parseAddress(text);
    return text;
  } catch (error) {
    throw new UsageError(`${flag}: ${errorMessage(error)}`);
  }
}

function tlsOf(flags: Flags, cwd: string): { tls?: { certificateFile: string; keyFile: string } } {
  const { 'tls-cert': certificate, 'tls-key': key } = flags;
  if (certificate === undefined && key === undefined) return {};
  if (certificate === undefined) throw new UsageError('--tls-key needs --tls-cert');
  if (key === undefined) throw new UsageError('--tls-cert needs --tls-key');
  return { tls: { certificateFile: resolve(cwd, certificate), keyFile: resolve(cwd, key) } };
}

/** An open registry is never an accident: off the loopback interface it has to be asked for. */
function anonymousOf(flags: Flags): 'None' | 'Pull' | 'PullPush' {
  const { anonymous } = flags;
  if (anonymous === 'None' && flags.htpasswd === undefined) {
    throw new UsageError('nobody could use this registry: --anonymous None needs --htpasswd FILE');
  }
  if (anonymous === 'None' || anonymous === 'Pull' || anonymous === 'PullPush') return anonymous;
  if (anonymous !== undefined) throw new UsageError('--anonymous must be None, Pull or PullPush');
  if (flags.htpasswd !== undefined) return 'None';
  if (isLoopback(parseAddress(flags.listen ?? '').host)) return 'PullPush';
  throw new UsageError(
    `anyone who reaches ${flags.listen} could push: add --htpasswd FILE, or say so with --anonymous PullPush`,
  );
}
