import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { AppError, errorMessage } from '../shared/errors.ts';
import { OPERATOR_OPTIONS } from './config.ts';

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
  | {
      readonly kind: 'run';
      readonly kubeconfig: string | undefined;
      readonly flags: Readonly<Partial<Record<string, string>>>;
    }
  | {
      readonly kind: 'local';
      readonly file: string;
      readonly listen: string;
      readonly opsListen: string;
      readonly stateRoot: string;
    };

const LOCAL_DEFAULTS = { listen: '127.0.0.1:5000', ops: '127.0.0.1:9090' };

export const HELP = `Usage:
  operator run [options]
  operator local FILE [--listen HOST:PORT] [--ops HOST:PORT] [--state DIR]

run    reconciles the Registries of a Kubernetes cluster. Access comes from --kubeconfig, KUBECONFIG,
       ~/.kube/config or the pod's service account, in this order.
local  runs the Registry of a file on this host, without a cluster, and follows edits of the file.

Options of run, each with its environment variable:
${OPERATOR_OPTIONS.map((option) => optionHelp(option)).join('\n')}
  --kubeconfig FILE
      access to the cluster

Options of local:
  --listen HOST:PORT
      address of the registry API; default ${LOCAL_DEFAULTS.listen}
  --ops HOST:PORT
      address of the registry's /livez, /readyz and /metrics; default ${LOCAL_DEFAULTS.ops}
  --state DIR
      folder that keeps content and certificates; default ~/.local/state/registry-operator

  --help     show this text
  --version  show the version
`;

/** @throws UsageError */
export function parseCommandLine(args: readonly string[], env: NodeJS.ProcessEnv): Command {
  const [command, ...rest] = args;
  switch (command) {
    case undefined:
    case 'help':
    case '--help':
    case '-h':
      return { kind: 'help' };
    case '--version':
      return { kind: 'version' };
    case 'run':
      return parseRun(rest);
    case 'local':
      return parseLocal(rest, env);
    default:
      throw new UsageError(`unknown command "${command}"`);
  }
}

function parseRun(args: readonly string[]): Command {
  const names = [...OPERATOR_OPTIONS.map(({ flag }) => flag), 'kubeconfig'];
  const { values, positionals, help } = parse(args, names);
  if (help) return { kind: 'help' };
  if (positionals.length > 0) throw new UsageError(`unexpected "${positionals[0]}"`);
  const { kubeconfig, ...flags } = values;
  return { kind: 'run', kubeconfig, flags };
}

function parseLocal(args: readonly string[], env: NodeJS.ProcessEnv): Command {
  const { values, positionals, help } = parse(args, ['listen', 'ops', 'state']);
  if (help) return { kind: 'help' };
  const [file, ...more] = positionals;
  if (file === undefined) throw new UsageError('FILE is missing: a manifest with one Registry');
  if (more.length > 0) throw new UsageError(`unexpected "${more[0]}": one file at a time`);
  const stateHome = env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state');
  return {
    kind: 'local',
    file,
    listen: values['listen'] ?? LOCAL_DEFAULTS.listen,
    opsListen: values['ops'] ?? LOCAL_DEFAULTS.ops,
    stateRoot: values['state'] ?? join(stateHome, 'registry-operator'),
  };
}

interface Parsed {
  readonly values: Readonly<Partial<Record<string, string>>>;
  readonly positionals: readonly string[];
  readonly help: boolean;
}

function parse(args: readonly string[], names: readonly string[]): Parsed {
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' } as const]));
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { ...options, help: { type: 'boolean', short: 'h' } },
      allowPositionals: true,
    });
    const strings = Object.entries(values).flatMap(([name, value]) =>
      typeof value === 'string' ? [[name, value] as const] : [],
    );
    return { values: Object.fromEntries(strings), positionals, help: values['help'] === true };
  } catch (error) {
    throw new UsageError(errorMessage(error));
  }
}

function optionHelp(option: (typeof OPERATOR_OPTIONS)[number]): string {
  const shown = option.default === '' ? '' : `; default ${option.default}`;
  return `  --${option.flag} ${option.value} (${option.env})\n      ${option.description}${shown}`;
}
