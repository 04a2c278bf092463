import { readFileSync } from 'node:fs';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';

import { type ApiServer, startApiServer } from '../servers/api-server.ts';
import { type Call, callsTo, mustCall } from './api.ts';
import { installChart, only, RELEASE, renderChart, uninstallChart, type Values } from './helm.ts';

const CRD = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/registries.registry-operator.dev';
/** Creates nothing and refuses unknown fields. */
const REGISTRIES =
  '/apis/registry-operator.dev/v1alpha1/namespaces/default/registries?fieldValidation=Strict&dryRun=All';

let server: ApiServer;
let call: Call;

beforeAll(async () => {
  server = await startApiServer();
  call = callsTo(server);
});

afterAll(async () => {
  await server.stop();
});

async function createNamespace(name: string, labels: Record<string, string> = {}): Promise<void> {
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
  await mustCall(call, 'POST', '/api/v1/namespaces', namespace);
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
      expect(await call('GET', deployment)).toMatch(/^200 /);

      await uninstallChart(server.kubeconfigPath);

      expect(await call('GET', deployment)).toMatch(/^404 /);
      expect(await call('GET', CRD)).toMatch(/^200 /);
    },
  );

  it('prints a Registry that the API server takes', async () => {
    const notes = await installChart(server.kubeconfigPath);
    const manifest = /apply -f - <<END\n([\s\S]*?)\n\s*END/.exec(notes)?.[1];

    const registry = parse(manifest ?? '') as object;
    const answer = await call('POST', REGISTRIES, registry);
    await uninstallChart(server.kubeconfigPath);

    expect(answer).toMatch(/^201 /);
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

    expect(answer).toMatch(/^201 /);
  });
});

describe('the example for Artifact Hub', () => {
  it('is a Registry that the API server takes', async () => {
    await installChart(server.kubeconfigPath);
    const chart = parse(
      readFileSync(new URL('../../charts/registry-operator/Chart.yaml', import.meta.url), 'utf8'),
    ) as { annotations: Record<string, string> };
    const examples = parse(chart.annotations['artifacthub.io/crdsExamples'] ?? '') as object[];

    const answers = await Promise.all(examples.map((example) => call('POST', REGISTRIES, example)));
    await uninstallChart(server.kubeconfigPath);

    expect(answers).toEqual([expect.stringMatching(/^201 /)]);
  });
});
