import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { KINDS } from '../../../src/operator/kube/kinds.ts';
import { SERVICE_MONITORS } from '../../helpers/service-monitors.ts';
import { Cluster, OWNED, registryOf } from './cluster.ts';
import { REGISTRY, until } from './harness.ts';

/** What happens around Registries: kinds that come and go, and namespaces that end. */

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start();
});

afterEach(() => cluster.stopOperators());

afterAll(() => cluster?.stop());

describe('the kind ServiceMonitor', () => {
  const { name } = SERVICE_MONITORS.metadata;

  test('is used as soon as it is installed, and missed quietly when it is uninstalled', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);
    const monitoring = { serviceMonitor: { mode: 'Enabled' } };
    await cluster.admin.create(REGISTRY, registryOf(namespace, { monitoring }));
    await cluster.untilCondition(namespace, 'Ready', 'ServiceMonitorUnavailable');
    await cluster.untilSettled(operator, namespace);

    await cluster.admin.create(KINDS.customResourceDefinition, SERVICE_MONITORS);

    await until(async () => {
      const monitor = await cluster.find(KINDS.serviceMonitor, namespace).catch(() => undefined);
      return monitor !== undefined;
    }, 'the ServiceMonitor');
    await cluster.untilCondition(namespace, 'Ready', 'WaitingForPods');

    await cluster.admin.delete(KINDS.customResourceDefinition, { namespace: undefined, name });
    await cluster.untilCondition(namespace, 'Ready', 'ServiceMonitorUnavailable');

    expect(operator.errors.length).toBeLessThan(3);
  });
});

describe('a namespace that is being deleted', () => {
  test('gets nothing new, and nobody hears of errors', async () => {
    const namespace = await cluster.newNamespace();
    const operator = await cluster.operate(namespace);
    await cluster.admin.create(REGISTRY, registryOf(namespace, {}));
    await cluster.untilSettled(operator, namespace);

    await cluster.admin.delete(KINDS.namespace, { namespace: undefined, name: namespace });
    for (const kind of OWNED) await cluster.admin.delete(kind, { namespace, name: 'reg' });
    await operator.reconcile(`${namespace}/reg`);
    await operator.reconcile(`${namespace}/reg`);

    expect(operator.errors).toEqual([]);
    expect(operator.events.filter(({ type }) => type === 'Warning')).toEqual([]);
    expect(await cluster.find(KINDS.deployment, namespace)).toBeUndefined();
    await cluster.deleteRegistry(namespace);
  });
});
