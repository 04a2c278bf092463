import { watch, type FSWatcher } from 'node:fs';
import { dirname } from 'node:path';

import { restartSettings, type RegistryConfig } from '../../api/registry-config.ts';
import { errorMessage } from '../../shared/errors.ts';
import { stableStringify } from '../../shared/json.ts';
import type { Logger } from '../../shared/logger.ts';
import { parseConfig } from './load.ts';
import { certificateOf, htpasswdOf, snapshotOf, type ConfigSource, type Snapshot } from './snapshot.ts';
import type { LoadedCertificate } from './tls.ts';

/**
 * What takes over new values. Each member throws to refuse a value, and then keeps the one it has. All of them are
 * called whenever anything has changed.
 */
export interface ReloadTargets {
  certificate(certificate: LoadedCertificate): void;
  htpasswd(files: readonly { readonly path: string; readonly text: string }[]): void;
  auth(config: RegistryConfig['auth']): void;
  logging(config: RegistryConfig['logging']): void;
  /** Everything else that can be taken over. */
  settings(config: RegistryConfig): void;
  /** A value could not be taken over; for the metrics. */
  failed(field: string): void;
}

export interface ConfigWatcherOptions {
  readonly source: ConfigSource;
  /** What the server has started with. */
  readonly initial: Snapshot;
  readonly targets: ReloadTargets;
  readonly logger: Logger;
  /** Time between looks at the files, in milliseconds. */
  readonly pollMs: number;
  /** Time that changes get to become complete, in milliseconds. */
  readonly debounceMs: number;
}

/**
 * Takes over changes of the configuration and of the files it names without a restart.
 *
 * Folders are watched, not files, because kubelet swaps a symbolic link beside them; and as a notice may be lost,
 * the files are read every few seconds as well, which costs next to nothing. What counts as a change is the
 * content.
 */
export class ConfigWatcher {
  readonly #options: ConfigWatcherOptions;
  #current: Snapshot;
  #config: RegistryConfig;
  #loadedHash: string;
  /** The state that was looked at last, so that one failure is told once. */
  #seen: string;
  #watchers: FSWatcher[] = [];
  #poll: NodeJS.Timeout | undefined;
  #debounce: NodeJS.Timeout | undefined;
  #check: Promise<void> = Promise.resolve();

  constructor(options: ConfigWatcherOptions) {
    this.#options = options;
    this.#current = options.initial;
    this.#config = options.initial.config;
    this.#loadedHash = options.initial.hash;
    this.#seen = options.initial.hash;
  }

  /** Names what is in use; a value that was refused is not in it. */
  get loadedHash(): string {
    return this.#loadedHash;
  }

  start(): void {
    this.#poll = setInterval(() => void this.check(), this.#options.pollMs);
    this.#poll.unref();
    this.#watchFolders();
  }

  async close(): Promise<void> {
    clearInterval(this.#poll);
    clearTimeout(this.#debounce);
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
    await this.#check;
  }

  /** Looks at the files now; calls run one after the other. */
  check(): Promise<void> {
    this.#check = this.#check.then(() => this.#look());
    return this.#check;
  }

  async #look(): Promise<void> {
    const { source } = this.#options;
    try {
      const bytes = await source.read();
      const { config, problem } = this.#parse(bytes);
      const next = await snapshotOf(bytes, config);
      if (next.hash === this.#seen) return;
      this.#seen = next.hash;
      this.#takeOver(next, problem);
    } catch (error) {
      const state = `unreadable: ${errorMessage(error)}`;
      if (state === this.#seen) return;
      this.#seen = state;
      this.#fail('config', error, source.name);
    }
  }

  /** A configuration that cannot be used leaves the old one in force, with new contents of its files. */
  #parse(bytes: Uint8Array): { config: RegistryConfig; problem?: unknown } {
    try {
      return { config: parseConfig(bytes, this.#options.source.name) };
    } catch (error) {
      return { config: this.#config, problem: error };
    }
  }

  #takeOver(next: Snapshot, problem: unknown): void {
    const { logger, source } = this.#options;
    const before = this.#current;
    const ok = problem === undefined || this.#fail('config', problem, source.name);
    const results = [ok, ...this.#apply(before, next)];
    this.#warnOfRestart(before.config, next.config);
    this.#current = next;
    this.#config = next.config;
    this.#watchFolders();
    if (results.includes(false)) return;
    this.#loadedHash = next.hash;
    logger.info({ loadedHash: next.hash }, 'configuration reloaded');
  }

  /** @returns false for each field that was refused */
  #apply(before: Snapshot, next: Snapshot): boolean[] {
    const { targets } = this.#options;
    const { config } = next;
    const users = this.#try('auth.basic.htpasswdFiles', () => targets.htpasswd(htpasswdOf(next)));
    return [
      users,
      // The old rules go with the old users.
      users && this.#try('auth', () => targets.auth(config.auth)),
      this.#try('http.tls', () => {
        const certificate = before.config.http.tls && certificateOf(next);
        if (certificate) targets.certificate(certificate);
      }),
      this.#try('logging', () => targets.logging(config.logging)),
      this.#try('http', () => targets.settings(config)),
    ];
  }

  #try(field: string, apply: () => void): boolean {
    try {
      apply();
      return true;
    } catch (error) {
      return this.#fail(field, error, this.#options.source.name);
    }
  }

  #fail(field: string, error: unknown, source: string): false {
    this.#options.logger.error(
      { field, source, error: errorMessage(error) },
      'new value not taken over; the old one stays',
    );
    this.#options.targets.failed(field);
    return false;
  }

  #warnOfRestart(before: RegistryConfig, next: RegistryConfig): void {
    const fields = differences(restartSettings(before), restartSettings(next));
    if (fields.length === 0) return;
    this.#options.logger.warn(
      { source: this.#options.source.name, fields },
      'a changed setting needs a restart',
    );
  }

  #watchFolders(): void {
    const { file } = this.#options.source;
    const paths = [...(file === undefined ? [] : [file]), ...this.#current.files.keys()];
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
    for (const folder of new Set(paths.map((path) => dirname(path)))) this.#watchFolder(folder);
  }

  #watchFolder(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#changed());
      watcher.on('error', () => watcher.close());
      this.#watchers.push(watcher);
    } catch {
      // A folder that is missing or cannot be watched is still read by the poll.
    }
  }

  #changed(): void {
    // Not put off by further notices: a folder in which something is written all the time would never be looked at.
    if (this.#debounce) return;
    this.#debounce = setTimeout(() => {
      this.#debounce = undefined;
      void this.check();
    }, this.#options.debounceMs);
    this.#debounce.unref();
  }
}

/** The fields that differ, such as `http.drainSeconds`; one that only one side has is not looked into. */
function differences(before: unknown, next: unknown, path: readonly string[] = []): string[] {
  if (stableStringify(before) === stableStringify(next)) return [];
  if (!isObject(before) || !isObject(next)) return [path.join('.')];
  const names = new Set([...Object.keys(before), ...Object.keys(next)]);
  return [...names].flatMap((name) => differences(before[name], next[name], [...path, name]));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
