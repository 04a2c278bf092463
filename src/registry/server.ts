import { randomUUID } from 'node:crypto';

import type { RegistryConfig } from '../api/registry-config.ts';
import { formatAddress, parseAddress } from '../shared/address.ts';
import type { Clock } from '../shared/clock.ts';
import { errorMessage } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import { startOpsServer, type Check, type OpsServer } from '../shared/ops-server.ts';
import { createApp, type App, type AppState } from './app.ts';
import { certificateOf, htpasswdOf, type ConfigSource, type Snapshot } from './config/snapshot.ts';
import type { LoadedCertificate } from './config/tls.ts';
import { ConfigWatcher, type ReloadTargets } from './config/watch.ts';
import { createDependencies, type Dependencies } from './dependencies.ts';
import { drain } from './http/drain.ts';
import { ListenFailed } from './http/listen-failed.ts';
import {
  type ConnectionLimits,
  type KeyPair,
  limitConnections,
  listen,
  secureOptions,
} from './http/node-server.ts';
import { httpSettings, type HttpSettings } from './http/settings.ts';
import { levelOf } from './log-level.ts';
import type { RegistryMetrics } from './metrics.ts';
import { type ProcessShare, shareOfLimits } from './processes/process-share.ts';
import { growYoungMemoryWhenBusy } from './young-memory.ts';

/** Time between looks at the configuration and its files. */
const POLL_MS = 5000;
/** Time that a change of several files gets to become complete. */
const DEBOUNCE_MS = 100;
/** A check of the storage that takes longer counts as failed. */
const CHECK_MS = 5000;

export interface ServerOptions {
  readonly source: ConfigSource;
  /** What `source` said at the start. */
  readonly snapshot: Snapshot;
  readonly version: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: RegistryMetrics;
  /** Memory that this process may use, in bytes; 0 when there is no limit. */
  readonly memoryLimit: number;
  /**
   * Set when several processes serve on one port: this one has its part of the limits and no operations port, and only
   * the first one does the work in the background.
   */
  readonly share?: ProcessShare;
  /** The index of the catalog has been compared with the content, which also holds for other processes. */
  readonly onCatalogCompared?: () => void;
}

/** What `/readyz?verbose` tells. */
export interface ServerReport {
  readonly status: 'ready' | 'unready' | 'draining';
  /** See `api/loaded-hash.ts`. */
  readonly loadedHash: string;
  readonly version: string;
  readonly certificate?: { readonly sha256Fingerprint: string; readonly notAfter: string } | undefined;
}

/** A registry server: the API, the operations port, and what keeps the two up to date. */
export class RegistryServer {
  readonly #options: ServerOptions;
  readonly #dependencies: Dependencies;
  readonly #app: App;
  readonly #state: AppState;
  readonly #watcher: ConfigWatcher;
  #certificate: LoadedCertificate | undefined;
  #ops: OpsServer | undefined;
  #url = '';
  #draining = false;

  /**
   * Starts everything and listens.
   *
   * @throws CertificateInvalid, HtpasswdInvalid, StorageError, ListenFailed
   */
  static async start(options: ServerOptions): Promise<RegistryServer> {
    const { snapshot, metrics } = options;
    const certificate = certificateOf(snapshot);
    if (certificate) metrics.certificateNotAfter(certificate.notAfter);
    const dependencies = await createDependencies({ ...options, config: snapshot.config });
    try {
      useUsers(dependencies.passwords, htpasswdOf(snapshot), options.logger);
      const state: AppState = { settings: settingsOf(snapshot.config, options.share) };
      const app = await createApp({
        ...options,
        ...dependencies,
        newId: randomUUID,
        state,
        connectionLimits: connectionLimitsOf(snapshot.config),
        ...(certificate ? { keyPair: keyPairOf(certificate, snapshot.config) } : {}),
      });
      growYoungMemoryWhenBusy(app.server);
      const server = new RegistryServer(options, { dependencies, app, state, certificate });
      await server.#listen();
      return server;
    } catch (error) {
      await dependencies.close();
      throw error;
    }
  }

  private constructor(
    options: ServerOptions,
    parts: {
      dependencies: Dependencies;
      app: App;
      state: AppState;
      certificate: LoadedCertificate | undefined;
    },
  ) {
    this.#options = options;
    this.#dependencies = parts.dependencies;
    this.#app = parts.app;
    this.#state = parts.state;
    this.#certificate = parts.certificate;
    this.#watcher = new ConfigWatcher({
      source: options.source,
      initial: options.snapshot,
      targets: this.#targets(),
      logger: options.logger,
      pollMs: POLL_MS,
      debounceMs: DEBOUNCE_MS,
    });
  }

  /** Where the API is. */
  get url(): string {
    return this.#url;
  }

  /** Another process has compared the index of the catalog with the content. */
  useCatalogIndex(): void {
    this.#dependencies.useCatalogIndex();
  }

  /** Looks at the configuration and its files now, as it does every few seconds. */
  async reload(): Promise<void> {
    if (!this.#draining) await this.#watcher.check();
  }

  /**
   * Is not ready any more, lets nobody in, gives running requests the configured time, suspends uploads and closes
   * everything.
   */
  async stop(reason: string): Promise<void> {
    const { logger, snapshot } = this.#options;
    this.#draining = true;
    logger.info({ reason }, 'stopping');
    const watching = this.#watcher.close();
    const inTime = await drain(this.#app.server, snapshot.config.http.drainSeconds * 1000);
    if (!inTime) logger.warn({}, 'requests were cut off because they took longer than http.drainSeconds');
    await watching;
    await this.#dependencies.close();
    await this.#app.fastify.close();
    await this.#ops?.close();
    logger.info({}, 'stopped');
  }

  async #listen(): Promise<void> {
    const { snapshot, share } = this.#options;
    const { http } = snapshot.config;
    const address = parseAddress(http.listen);
    const port = await listen(this.#app.server, address);
    this.#url = `${http.tls ? 'https' : 'http'}://${formatAddress({ ...address, port })}`;
    if (share === undefined) await this.#openOps();
    this.#watcher.start();
    if (share === undefined || share.number === 1) {
      this.#dependencies.purge.start();
      this.#dependencies.indexes.start();
    }
    this.#logListening();
  }

  /** The operations port comes second: it says that the server is ready. */
  async #openOps(): Promise<void> {
    try {
      this.#ops = await this.#startOps(parseAddress(this.#options.snapshot.config.ops.listen));
    } catch (error) {
      await drain(this.#app.server, 0);
      throw error;
    }
  }

  #logListening(): void {
    const { logger, snapshot, version } = this.#options;
    const { ops: settings, storage } = snapshot.config;
    const ops = this.#ops && formatAddress({ ...parseAddress(settings.listen), port: this.#ops.port });
    logger.info({ version, url: this.#url, ops, storage: storage.driver }, 'listening');
  }

  async #startOps(address: { host: string; port: number }): Promise<OpsServer> {
    try {
      return await startOpsServer({
        listen: address,
        livez: () => Promise.resolve({ ok: true, body: 'ok' }),
        readyz: (verbose) => this.#readyz(verbose),
        metrics: () => this.#options.metrics.render(),
      });
    } catch (error) {
      throw new ListenFailed(address, error);
    }
  }

  async #readyz(verbose: boolean): Promise<Check> {
    const report = await this.report();
    return { ok: report.status === 'ready', body: verbose ? report : report.status };
  }

  /** Whether requests should come here, and what is in use. */
  async report(): Promise<ServerReport> {
    const status = this.#draining ? 'draining' : await this.#storageStatus();
    const certificate = this.#certificate && {
      sha256Fingerprint: this.#certificate.sha256Fingerprint,
      notAfter: this.#certificate.notAfter.toISOString(),
    };
    const { version } = this.#options;
    return { status, loadedHash: this.#watcher.loadedHash, version, certificate };
  }

  async #storageStatus(): Promise<'ready' | 'unready'> {
    try {
      await this.#dependencies.storage.check({ signal: AbortSignal.timeout(CHECK_MS) });
      return 'ready';
    } catch (error) {
      this.#options.logger.warn({ error: errorMessage(error) }, 'storage check failed');
      return 'unready';
    }
  }

  #targets(): ReloadTargets {
    const { logger, metrics } = this.#options;
    return {
      certificate: (certificate) => this.#useCertificate(certificate),
      htpasswd: (files) => useUsers(this.#dependencies.passwords, files, logger),
      auth: (config) => this.#dependencies.policy.replace(config),
      logging: (config) => {
        logger.level = levelOf(config);
      },
      settings: (config) => {
        this.#state.settings = settingsOf(config, this.#options.share);
        limitConnections(this.#app.server, connectionLimitsOf(config));
      },
      failed: (field) => metrics.reloadFailed(field),
    };
  }

  #useCertificate(certificate: LoadedCertificate): void {
    const current = this.#certificate;
    const { server } = this.#app;
    if (!('setSecureContext' in server)) return;
    if (current?.certificate === certificate.certificate && current.key === certificate.key) return;
    server.setSecureContext(secureOptions(keyPairOf(certificate, this.#options.snapshot.config)));
    this.#certificate = certificate;
    this.#options.metrics.certificateNotAfter(certificate.notAfter);
    const { sha256Fingerprint, notAfter } = certificate;
    this.#options.logger.info({ sha256Fingerprint, notAfter }, 'certificate replaced');
  }
}

/** A file may come later, but one that is missing by mistake would only show in passwords that are refused. */
function useUsers(
  passwords: Dependencies['passwords'],
  files: Parameters<Dependencies['passwords']['replace']>[0],
  logger: Logger,
): void {
  passwords.replace(files);
  for (const { path, text } of files) {
    if (text.trim() === '')
      logger.warn({ path }, 'no users are in the htpasswd file, or there is no such file');
  }
}

function settingsOf(config: RegistryConfig, share: ProcessShare | undefined): HttpSettings {
  if (share === undefined) return httpSettings(config);
  return httpSettings({ ...config, limits: shareOfLimits(config.limits, share) });
}

function connectionLimitsOf({ http, limits }: RegistryConfig): ConnectionLimits {
  return {
    headBytes: http.maxHeaderBytes,
    headMilliseconds: limits.headerSeconds * 1000,
  };
}

function keyPairOf({ certificate, key }: LoadedCertificate, { http }: RegistryConfig): KeyPair {
  return { certificate, key, minVersion: http.tls?.minVersion === 'TLS13' ? 'TLSv1.3' : 'TLSv1.2' };
}
