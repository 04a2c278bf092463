import { KubeConfig } from '@kubernetes/client-node';

import { ApiClient, type ClientOptions } from '../../../src/operator/kube/client.ts';
import { KINDS } from '../../../src/operator/kube/kinds.ts';
import { Transport } from '../../../src/operator/kube/transport.ts';
import type { KubeObject } from '../../../src/operator/kube/types.ts';
import { createOperatorMetrics } from '../../../src/operator/metrics.ts';
import { systemClock } from '../../../src/shared/clock.ts';
import { createLogger } from '../../../src/shared/logger.ts';
import { type ApiServer, startApiServer } from '../../servers/api-server.ts';
import { FaultProxy } from '../../servers/fault-proxy.ts';

/** Limits of the client are for production; tests do not wait for them. */
const UNLIMITED = { perSecond: 1e6, burst: 1e6 };

/** A real API server behind a proxy that fails on demand. */
export class Environment {
  readonly api: ApiServer;
  readonly proxy: FaultProxy;
  /** Without faults, for what a test does itself. */
  readonly direct: ApiClient;
  readonly #cleanups: (() => unknown)[] = [];
  #namespaces = 0;

  private constructor(api: ApiServer, proxy: FaultProxy) {
    this.api = api;
    this.proxy = proxy;
    const config = new KubeConfig();
    config.loadFromFile(api.kubeconfigPath);
    this.direct = this.#client(config);
  }

  static async start(): Promise<Environment> {
    const api = await startApiServer();
    return new Environment(api, await FaultProxy.start(api));
  }

  /** A client with connections of its own, through a proxy. */
  client(options: Partial<ClientOptions> = {}, proxy: FaultProxy = this.proxy): ApiClient {
    return this.#client(configFor(proxy), options);
  }

  /** Another proxy in front of the same API server. */
  async anotherProxy(): Promise<FaultProxy> {
    const proxy = await FaultProxy.start(this.api);
    this.#cleanups.push(() => proxy.close());
    return proxy;
  }

  transport(proxy: FaultProxy = this.proxy): Transport {
    const transport = new Transport({ config: configFor(proxy), userAgent: 'conformance' });
    this.#cleanups.push(() => transport.close());
    return transport;
  }

  /** Makes a namespace of its own for a test. */
  async namespace(): Promise<string> {
    this.#namespaces += 1;
    const name = `test-${this.#namespaces}`;
    await this.direct.create(KINDS.namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    return name;
  }

  async stop(): Promise<void> {
    for (const cleanup of this.#cleanups.splice(0)) await cleanup();
    await this.proxy.close();
    await this.api.stop();
  }

  #client(config: KubeConfig, options: Partial<ClientOptions> = {}): ApiClient {
    const transport = new Transport({ config, userAgent: 'conformance' });
    this.#cleanups.push(() => transport.close());
    const metrics = createOperatorMetrics();
    return new ApiClient({ transport, clock: systemClock, metrics, rate: UNLIMITED, ...options });
  }
}

/** Says nothing; tests look at what happens. */
export const silent = createLogger({ level: 'silent' });

export function configMap(namespace: string, name: string, data: Record<string, string> = {}): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name }, data };
}

/** Waits until a condition holds. @throws Error that names it after the time limit */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain until ${what}`);
    await systemClock.sleep(10);
  }
}

/** Access to the API server through a proxy; the proxy has the credentials. */
export function configFor(proxy: FaultProxy): KubeConfig {
  const config = new KubeConfig();
  const caData = Buffer.from(proxy.ca).toString('base64');
  config.loadFromClusterAndUser(
    { name: 'test', server: proxy.url, caData, skipTLSVerify: false },
    { name: 'test' },
  );
  return config;
}
