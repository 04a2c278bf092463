import { parseAddress, type Address } from '../shared/address.ts';
import { AppError } from '../shared/errors.ts';
import type { LogLevel } from '../shared/logger.ts';
import type { ControllerConfig } from './controller/context.ts';

/** One setting of `operator run`; the flag goes before the environment. */
interface OperatorOption {
  readonly flag: string;
  readonly env: string;
  /** What stands after the flag in the help. */
  readonly value: string;
  readonly description: string;
  readonly default: string;
}

const OPTIONS = [
  {
    flag: 'watch-namespaces',
    env: 'WATCH_NAMESPACES',
    value: 'NAME,…',
    description: 'namespaces whose Registries are served; all of them when empty',
    default: '',
  },
  {
    flag: 'operand-image',
    env: 'OPERAND_IMAGE',
    value: 'IMAGE',
    description: 'image of the registry server for a Registry that names none',
    default: '',
  },
  {
    flag: 'cluster-domain',
    env: 'CLUSTER_DOMAIN',
    value: 'DOMAIN',
    description: 'DNS domain of the cluster',
    default: 'cluster.local',
  },
  {
    flag: 'leader-elect',
    env: 'LEADER_ELECT',
    value: 'true|false',
    description: 'whether to wait for a lease, so that one of several processes works',
    default: 'true',
  },
  {
    flag: 'leader-election-namespace',
    env: 'LEADER_ELECTION_NAMESPACE',
    value: 'NAME',
    description: 'namespace of the lease; that of the pod (POD_NAMESPACE) when empty',
    default: '',
  },
  {
    flag: 'leader-election-name',
    env: 'LEADER_ELECTION_NAME',
    value: 'NAME',
    description: 'name of the lease',
    default: 'registry-operator',
  },
  {
    flag: 'ops-listen',
    env: 'OPS_LISTEN',
    value: 'HOST:PORT',
    description: 'address of /livez, /readyz and /metrics',
    default: ':8080',
  },
  {
    flag: 'concurrency',
    env: 'CONCURRENCY',
    value: 'N',
    description: 'Registries that are reconciled at the same time',
    default: '4',
  },
  {
    flag: 'log-level',
    env: 'LOG_LEVEL',
    value: 'Error|Warn|Info|Debug',
    description: 'the lowest level that is logged',
    default: 'Info',
  },
] as const satisfies readonly OperatorOption[];

/** Every setting of `operator run`, for the help. */
export const OPERATOR_OPTIONS: readonly OperatorOption[] = OPTIONS;

type Flag = (typeof OPTIONS)[number]['flag'];

/** Settings of `operator run`. */
export interface OperatorConfig extends ControllerConfig {
  /** Unset: this process works without asking for a lease. */
  readonly lease: { readonly namespace: string; readonly name: string } | undefined;
  /** Name of this process in leases and events: the pod's name, else the host's. */
  readonly instance: string;
  readonly opsListen: Address;
  /** Reconciles that run at a time. */
  readonly workers: number;
  readonly logLevel: LogLevel;
}

export interface ConfigSources {
  /** Values of the flags that were given. */
  readonly flags: Readonly<Partial<Record<string, string>>>;
  readonly env: Readonly<Partial<Record<string, string>>>;
  readonly version: string;
  readonly hostname: string;
}

/** The settings cannot be used; the message names every one that is wrong. */
export class ConfigError extends AppError {
  override readonly name = 'ConfigError';

  constructor(problems: readonly string[]) {
    super('CONFIG', problems.join('\n'));
  }
}

const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const IMAGE = 'ghcr.io/registry-operator/registry-operator';
const LOG_LEVELS: Readonly<Partial<Record<string, LogLevel>>> = {
  error: 'error',
  warn: 'warn',
  info: 'info',
  debug: 'debug',
};

/** Reads flags and environment. @throws ConfigError */
export function loadConfig(sources: ConfigSources): OperatorConfig {
  const settings = new Settings(sources);
  const config = {
    version: sources.version,
    watchNamespaces: settings.namespaces('watch-namespaces'),
    operandImage: settings.text('operand-image') || `${IMAGE}:${sources.version}`,
    clusterDomain: settings.text('cluster-domain'),
    lease: settings.lease(),
    instance: sources.env['POD_NAME'] || sources.hostname,
    opsListen: settings.address('ops-listen'),
    workers: settings.count('concurrency'),
    logLevel: settings.logLevel('log-level'),
  };
  if (settings.problems.length > 0) throw new ConfigError(settings.problems);
  return Object.freeze(config);
}

/** Reads one setting after the other and gathers what is wrong. */
class Settings {
  readonly problems: string[] = [];
  readonly #sources: ConfigSources;

  constructor(sources: ConfigSources) {
    this.#sources = sources;
  }

  text(flag: Flag): string {
    const option = OPTIONS.find((each) => each.flag === flag);
    if (!option) return '';
    const { flags, env } = this.#sources;
    return (flags[flag] ?? env[option.env] ?? option.default).trim() || option.default;
  }

  namespaces(flag: Flag): readonly string[] {
    const names = this.text(flag)
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '');
    for (const name of names)
      if (!NAMESPACE.test(name)) this.#refuse(flag, `"${name}" is no name of a namespace`);
    return [...new Set(names)].toSorted();
  }

  lease(): OperatorConfig['lease'] {
    const wanted = this.text('leader-elect').toLowerCase();
    if (wanted === 'false') return undefined;
    if (wanted !== 'true') this.#refuse('leader-elect', `"${wanted}" is neither true nor false`);
    const namespace = this.text('leader-election-namespace') || (this.#sources.env['POD_NAMESPACE'] ?? '');
    if (namespace === '')
      this.#refuse('leader-election-namespace', 'is needed outside of a pod, or --leader-elect=false');
    return { namespace, name: this.text('leader-election-name') };
  }

  address(flag: Flag): Address {
    try {
      return parseAddress(this.text(flag));
    } catch {
      this.#refuse(flag, `"${this.text(flag)}" is not HOST:PORT`);
      return { host: '', port: 0 };
    }
  }

  count(flag: Flag): number {
    const text = this.text(flag);
    const count = Number(text);
    if (!Number.isInteger(count) || count < 1 || count > 64) this.#refuse(flag, `"${text}" is not 1 to 64`);
    return count;
  }

  logLevel(flag: Flag): LogLevel {
    const text = this.text(flag);
    const level = LOG_LEVELS[text.toLowerCase()];
    if (level === undefined) this.#refuse(flag, `"${text}" is not Error, Warn, Info or Debug`);
    return level ?? 'info';
  }

  #refuse(flag: Flag, problem: string): void {
    const env = OPTIONS.find((each) => each.flag === flag)?.env;
    this.problems.push(`--${flag} (${env}): ${problem}`);
  }
}
