import { readFileSync } from 'node:fs';
import { request } from 'node:https';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';

import type { KubeObject } from '../../src/operator/kube/types.ts';
import { type ApiServer, startApiServer } from '../servers/api-server.ts';
import { installChart, only, RELEASE, renderChart, uninstallChart, type Values } from './helm.ts';

const CRD = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/registries.registry-operator.dev';

let server: ApiServer;

beforeAll(async () => {
  server = await startApiServer();
});

afterAll(async () => {
  await server.stop();
});

/** One call of the API as the administrator. */
function call(method: string, path: string, body?: object): Promise<{ status: number; object: KubeObject }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; object: KubeObject }>();
  const { ca, adminCert: cert, adminKey: key } = server;
  const sent = request(`${server.url}${path}`, {
    method,
    ca,
    cert,
    key,
    agent: false,
    headers: { 'content-type': 'application/json' },
  });
  sent.on('error', reject);
  sent.on('response', (response) => {
    response.toArray().then((chunks: Buffer[]) => {
      resolve({
        status: response.statusCode ?? 0,
        object: JSON.parse(Buffer.concat(chunks).toString()) as KubeObject,
      });
    }, reject);
  });
  sent.end(body === undefined ? undefined : JSON.stringify(body));
  return promise;
}

async function createNamespace(name: string, labels: Record<string, string> = {}): Promise<void> {
  const { status } = await call('POST', '/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels },
  });
  expect(status).toBe(201);
}

describe('an install', () => {
  it.each<[string, Values]>([
    ['the default values', {}],
    ['two namespaces', { watchNamespaces: ['team-a', 'team-b'], replicaCount: 1 }],
  ])(
    'with %s is accepted by a real API server, and leaves only the definition behind',
    async (_title, values) => {
      for (const name of (values['watchNamespaces'] ?? []) as string[]) await createNamespace(name);

      const notes = await installChart(server.kubeconfigPath, values);

      expect(notes).toContain('kubectl get registries');
      const deployment = `/apis/apps/v1/namespaces/${RELEASE.namespace}/deployments/op-registry-operator`;
      expect((await call('GET', deployment)).status).toBe(200);

      await uninstallChart(server.kubeconfigPath);

      expect((await call('GET', deployment)).status).toBe(404);
      expect((await call('GET', CRD)).status).toBe(200);
    },
  );

  it('prints a Registry that the API server takes', async () => {
    const notes = await installChart(server.kubeconfigPath);
    const manifest = /apply -f - <<END\n([\s\S]*?)\n\s*END/.exec(notes)?.[1];

    const registry: unknown = parse(manifest ?? '');
    const path = '/apis/registry-operator.dev/v1alpha1/namespaces/default/registries?fieldValidation=Strict';
    const { status, object } = await call('POST', path, registry as object);
    await uninstallChart(server.kubeconfigPath);

    expect(object, JSON.stringify(object)).toMatchObject({ kind: 'Registry' });
    expect(status).toBe(201);
  });
});

describe('the pods of the operator', () => {
  it('are admitted where the restricted Pod Security Standard is enforced', async () => {
    await createNamespace('restricted', {
      'pod-security.kubernetes.io/enforce': 'restricted',
      'pod-security.kubernetes.io/enforce-version': 'latest',
    });
    const { template } = only(await renderChart(), 'Deployment')['spec'] as { template: object };
    const pod = { apiVersion: 'v1', kind: 'Pod', ...template };

    const answer = await call('POST', '/api/v1/namespaces/restricted/pods?dryRun=All', {
      ...pod,
      metadata: { name: 'operator' },
    });

    expect(answer.object, JSON.stringify(answer.object)).toMatchObject({ kind: 'Pod' });
  });
});

describe('the example for Artifact Hub', () => {
  it('is a Registry that the API server takes', async () => {
    await installChart(server.kubeconfigPath);
    const chart = parse(
      readFileSync(new URL('../../charts/registry-operator/Chart.yaml', import.meta.url), 'utf8'),
    ) as { annotations: Record<string, string> };
    const examples = parse(chart.annotations['artifacthub.io/crdsExamples'] ?? '') as object[];

    for (const example of examples) {
      const path = '/apis/registry-operator.dev/v1alpha1/namespaces/default/registries';
      const { object } = await call('POST', `${path}?fieldValidation=Strict&dryRun=All`, example);

      expect(object, JSON.stringify(object)).toMatchObject({ kind: 'Registry' });
    }
    await uninstallChart(server.kubeconfigPath);
  });
});
