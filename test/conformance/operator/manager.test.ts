import { randomUUID } from 'node:crypto';

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import type { OperatorConfig } from '../../../src/operator/config.ts';
import type { ControllerContext, ControllerDefinition } from '../../../src/operator/controller/context.ts';
import { TerminalError } from '../../../src/operator/controller/terminal-error.ts';
import { Applier } from '../../../src/operator/kube/apply.ts';
import { KINDS } from '../../../src/operator/kube/kinds.ts';
import { keyOf, parseKey } from '../../../src/operator/kube/store.ts';
import type { KubeObject } from '../../../src/operator/kube/types.ts';
import { Manager } from '../../../src/operator/manager.ts';
import { createOperatorMetrics } from '../../../src/operator/metrics.ts';
import { systemClock } from '../../../src/shared/clock.ts';
import { configMap, Environment, silent, until } from './environment.ts';

const LEASE = { leaseMs: 2000, renewDeadlineMs: 1200, retryMs: 150 };
const OURS = 'app=copies';

let environment: Environment;
const managers: Manager[] = [];

beforeAll(async () => {
  environment = await Environment.start();
});

afterEach(async () => {
  for (const manager of managers.splice(0)) await manager.stop('end of the test');
  environment.proxy.clear();
  environment.proxy.refuse(false);
});

afterAll(() => environment?.stop());

/** Copies each labelled Secret into a ConfigMap of the same name: the smallest controller that owns something. */
function createCopier(context: ControllerContext): ControllerDefinition {
  const { client } = context;
  const sources = context.reflect({
    kind: KINDS.secret,
    labelSelector: OURS,
    keys: (object) => [keyOf(object)],
  });
  const copies = context.reflect({
    kind: KINDS.configMap,
    labelSelector: OURS,
    keys: (object) => [keyOf(object)],
  });
  context.reflect({ kind: KINDS.serviceMonitor, optional: true });
  const applier = new Applier({ client, fieldManager: 'copier', annotation: 'example.org/applied-hash' });
  async function reconcile(key: string, signal: AbortSignal): ReturnType<ControllerDefinition['reconcile']> {
    const source = sources.get(parseKey(key));
    if (!source) return {};
    if (source.metadata.annotations?.['broken'] !== undefined) throw new TerminalError('it is broken');
    await applier.applyIfChanged(KINDS.configMap, copyOf(source), copies.get(parseKey(key)), { signal });
    return {};
  }
  return { name: 'copies', reconcile };
}

function copyOf(source: KubeObject): KubeObject {
  const { namespace = '', name } = source.metadata;
  const copy = configMap(namespace, name, { type: String(source['type']) });
  copy.metadata.labels = { app: 'copies' };
  return copy;
}

function secret(namespace: string, name: string): KubeObject {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name, labels: { app: 'copies' } } };
}

interface Started {
  readonly manager: Manager;
  readonly lost: () => number;
}

async function start(config: Partial<OperatorConfig>, lease = LEASE): Promise<Started> {
  let lost = 0;
  const manager = new Manager({
    config: {
      version: '0.0.0',
      watchNamespaces: [],
      operandImage: 'example.org/registry:1',
      clusterDomain: 'cluster.local',
      lease: { namespace: 'default', name: 'unset' },
      instance: 'test',
      opsListen: { host: '127.0.0.1', port: 0 },
      workers: 2,
      logLevel: 'silent',
      ...config,
    },
    transport: environment.transport(),
    createController: createCopier,
    clock: systemClock,
    random: Math.random,
    fetch,
    logger: silent,
    metrics: createOperatorMetrics(),
    identity: randomUUID(),
    onLost: () => {
      lost += 1;
    },
    timing: { lease, reflector: { backoff: { firstMs: 20, maxMs: 200 } } },
  });
  managers.push(manager);
  await manager.start();
  return { manager, lost: () => lost };
}

async function get(manager: Manager, path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://127.0.0.1:${manager.opsPort}${path}`);
  return { status: response.status, text: await response.text() };
}

async function copyExists(namespace: string, name: string): Promise<boolean> {
  return (await environment.direct.get(KINDS.configMap, { namespace, name })) !== undefined;
}

function applies(manager: Manager): number {
  return manager.requestCounts.get('apply configmaps') ?? 0;
}

describe('the manager', () => {
  test('reconciles what is there and what comes, restores what is taken away, and writes nothing else', async () => {
    const namespace = await environment.namespace();
    await environment.direct.create(KINDS.secret, secret(namespace, 'a'));
    const { manager } = await start({ watchNamespaces: [namespace], lease: { namespace, name: 'lease' } });

    await until('the copy of a exists', () => copyExists(namespace, 'a'));
    await environment.direct.create(KINDS.secret, secret(namespace, 'b'));
    await until('the copy of b exists', () => copyExists(namespace, 'b'));
    await environment.direct.delete(KINDS.configMap, { namespace, name: 'a' });
    await until('the copy of a is back', () => copyExists(namespace, 'a'));
    await systemClock.sleep(200);
    const before = applies(manager);
    await environment.direct.mergePatch(
      KINDS.secret,
      { namespace, name: 'a' },
      { metadata: { labels: { unrelated: 'x' } } },
    );
    await systemClock.sleep(300);

    expect(applies(manager)).toBe(before);
  });

  test('writes nothing after a restart', async () => {
    const namespace = await environment.namespace();
    await environment.direct.create(KINDS.secret, secret(namespace, 'a'));
    const options = { watchNamespaces: [namespace], lease: { namespace, name: 'lease' } };
    const first = await start(options);
    await until('the copy exists', () => copyExists(namespace, 'a'));
    await first.manager.stop('restart');
    managers.length = 0;

    const second = await start(options);
    await until('it has read', () => (second.manager.requestCounts.get('list configmaps') ?? 0) > 0);
    await until('it leads', async () =>
      (await get(second.manager, '/readyz?verbose')).text.includes('"leader":true'),
    );
    await systemClock.sleep(300);

    expect(applies(second.manager)).toBe(0);
  });

  test('serves only the namespaces it is given', async () => {
    const mine = await environment.namespace();
    const other = await environment.namespace();
    await environment.direct.create(KINDS.secret, secret(other, 'a'));
    await environment.direct.create(KINDS.secret, secret(mine, 'a'));
    await start({ watchNamespaces: [mine], lease: undefined });

    await until('the copy exists', () => copyExists(mine, 'a'));

    expect(await copyExists(other, 'a')).toBe(false);
  });

  test('keeps a second process ready and idle, which takes over when the first stops', async () => {
    const namespace = await environment.namespace();
    const options = { watchNamespaces: [namespace], lease: { namespace, name: 'lease' } };
    // Long enough for a busy machine: a process that waits for the end of the lease takes at least as long.
    const lease = { ...LEASE, leaseMs: 15_000 };
    const first = await start(options, lease);
    await until('the first leads', async () =>
      (await get(first.manager, '/readyz?verbose')).text.includes('"leader":true'),
    );
    const second = await start(options, lease);
    await until('the second is ready', async () => (await get(second.manager, '/readyz')).status === 200);
    expect((await get(second.manager, '/readyz?verbose')).text).toContain('"leader":false');

    await first.manager.stop('SIGTERM');
    managers.splice(managers.indexOf(first.manager), 1);
    const stopped = performance.now();
    await environment.direct.create(KINDS.secret, secret(namespace, 'a'));
    await until('the second works', () => copyExists(namespace, 'a'));

    expect(performance.now() - stopped).toBeLessThan(lease.leaseMs);
    expect(applies(second.manager)).toBe(1);
    expect(first.lost()).toBe(0);
  });

  test('ends when it loses the lease, and writes nothing from then on', async () => {
    const namespace = await environment.namespace();
    const { manager, lost } = await start({
      watchNamespaces: [namespace],
      lease: { namespace, name: 'lease' },
    });
    await environment.direct.create(KINDS.secret, secret(namespace, 'a'));
    await until('the copy exists', () => copyExists(namespace, 'a'));
    const before = applies(manager);

    const spec = { holderIdentity: 'somebody', leaseDurationSeconds: 60 };
    await environment.direct.mergePatch(KINDS.lease, { namespace, name: 'lease' }, { spec });
    await until('the loss is told', () => lost() === 1);
    await environment.direct.create(KINDS.secret, secret(namespace, 'b'));
    await systemClock.sleep(300);

    expect(applies(manager)).toBe(before);
  });

  test('shows health and metrics while the API server is away, and goes on when it is back', async () => {
    const namespace = await environment.namespace();
    const { manager } = await start({ watchNamespaces: [namespace], lease: undefined });
    await until('it is ready', async () => (await get(manager, '/readyz')).status === 200);

    environment.proxy.refuse(true);
    await systemClock.sleep(200);
    expect(await get(manager, '/livez')).toEqual({ status: 200, text: 'ok\n' });
    const metrics = await get(manager, '/metrics');
    environment.proxy.refuse(false);
    await environment.direct.create(KINDS.secret, secret(namespace, 'a'));
    await until('the copy exists', () => copyExists(namespace, 'a'));

    expect(metrics.text).toContain(
      'rest_client_requests_total{method="GET",resource="configmaps",code="200"}',
    );
    expect(metrics.text).toContain('registry_operator_watch_age_seconds{resource="secrets"');
    expect(metrics.text).toContain('workqueue_depth{name="registry"} 0');
  });

  test('stops at once while a cache cannot be filled', async () => {
    const namespace = await environment.namespace();
    environment.proxy.inject(({ path }) => path.includes('/secrets?'), { type: 'hang' });
    const { manager } = await start({ watchNamespaces: [namespace], lease: { namespace, name: 'lease' } });
    await until('it leads', async () =>
      (await get(manager, '/readyz?verbose')).text.includes('"leader":true'),
    );
    expect((await get(manager, '/readyz')).status).toBe(503);

    const begun = performance.now();
    await manager.stop('SIGTERM');
    managers.length = 0;

    expect(performance.now() - begun).toBeLessThan(2000);
  });

  test('does not repeat what failed for good, until something changes', async () => {
    const namespace = await environment.namespace();
    const broken = secret(namespace, 'a');
    broken.metadata.annotations = { broken: 'yes' };
    await environment.direct.create(KINDS.secret, broken);
    const { manager } = await start({ watchNamespaces: [namespace], lease: undefined });
    const failures = async (): Promise<string | undefined> =>
      /terminal_reconcile_errors_total\{[^}]*\} (\d+)/.exec((await get(manager, '/metrics')).text)?.[1];
    await until('it has failed', async () => (await failures()) === '1');
    await systemClock.sleep(200);
    expect(await failures()).toBe('1');

    const patch = { metadata: { annotations: { broken: null } } };
    await environment.direct.mergePatch(KINDS.secret, { namespace, name: 'a' }, patch);

    await until('the copy exists', () => copyExists(namespace, 'a'));
  });
});
