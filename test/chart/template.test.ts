import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { describe, expect, it } from 'vitest';
import { isMap, isScalar, parse, parseDocument, type Document, type YAMLMap } from 'yaml';

import packageJson from '../../package.json' with { type: 'json' };
import { OPERATOR_OPTIONS } from '../../src/operator/config.ts';
import type { KubeObject } from '../../src/operator/kube/types.ts';
import { toolPath } from '../helpers/tools.ts';
import { CHART, KUBE_VERSIONS, only, RELEASE, renderChart, type Values } from './helm.ts';

/** What the tests read of a Deployment. */
interface DeploymentSpec {
  replicas: number;
  selector: { matchLabels: Record<string, string> };
  template: {
    metadata: { labels: Record<string, string>; annotations?: Record<string, string> };
    spec: {
      containers: { image: string; command: string[]; env: { name: string; value?: string }[] }[];
      [field: string]: unknown;
    };
  };
}

function deployment(objects: readonly KubeObject[]): DeploymentSpec {
  return only(objects, 'Deployment')['spec'] as DeploymentSpec;
}

function environment(objects: readonly KubeObject[]): Record<string, string | undefined> {
  const env = deployment(objects).template.spec.containers[0]?.env ?? [];
  return Object.fromEntries(env.map(({ name, value }) => [name, value]));
}

function kinds(objects: readonly KubeObject[]): string[] {
  return objects
    .map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? '-'}/${metadata.name}`)
    .toSorted();
}

/** Values that differ from the defaults in every part. */
const EVERYTHING: Values = {
  fullnameOverride: 'registries',
  commonLabels: { team: 'platform' },
  replicaCount: 3,
  image: { repository: 'example.test:5000/op', digest: `sha256:${'a'.repeat(64)}`, pullPolicy: 'Always' },
  imagePullSecrets: [{ name: 'pull' }],
  watchNamespaces: ['team-a', 'team-b'],
  clusterDomain: 'k8s.example.test',
  concurrency: 9,
  logging: { level: 'Debug' },
  crds: { install: true, keep: false },
  serviceAccount: { name: 'account', annotations: { role: 'arn' } },
  rbac: { aggregate: false },
  metrics: {
    service: { annotations: { scrape: 'true' } },
    serviceMonitor: { enabled: true, interval: '1m', labels: { release: 'prometheus' } },
  },
  podAnnotations: { note: 'text' },
  podLabels: { zone: 'a' },
  resources: { limits: { memory: '512Mi' } },
  extraEnv: [{ name: 'NODE_EXTRA_CA_CERTS', value: '/ca.crt' }],
  nodeSelector: { 'kubernetes.io/os': 'linux' },
  tolerations: [{ operator: 'Exists' }],
  affinity: { nodeAffinity: {} },
  topologySpreadConstraints: [
    { maxSkew: 1, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway' },
  ],
  priorityClassName: 'system-cluster-critical',
};

function templates(): string[] {
  return globSync(join(CHART, 'templates/**/*.{yaml,tpl,txt}')).map((file) => readFileSync(file, 'utf8'));
}

describe('the chart', () => {
  it('has no lint findings, warnings included', async () => {
    const { stdout } = await promisify(execFile)(toolPath('helm'), ['lint', '--strict', CHART]);

    expect(stdout).toContain('0 chart(s) failed');
  });

  it('has the version of the package', () => {
    const chart = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')) as Record<string, string>;

    expect([chart['version'], chart['appVersion']]).toEqual([packageJson.version, packageJson.version]);
  });

  it('never makes up secrets, which would change at every upgrade', () => {
    const expressions = templates().flatMap((text) => text.match(/{{[\s\S]*?}}/g) ?? []);

    expect(expressions.join('\n')).not.toMatch(
      /\b(rand\w+|gen\w*Cert\w*|genCA\w*|genPrivateKey|htpasswd|bcrypt|lookup)\b/,
    );
  });

  it('uses every value, and every value has a description', () => {
    const text = templates().join('\n');
    const leaves = valueLeaves(parseDocument(readFileSync(join(CHART, 'values.yaml'), 'utf8')));

    expect(leaves.filter(({ path }) => !text.includes(`.Values.${path}`))).toEqual([]);
    expect(leaves.filter(({ documented }) => !documented)).toEqual([]);
  });
});

interface ValueLeaf {
  /** With dots, up to the first value that the user replaces as a whole. */
  path: string;
  documented: boolean;
}

/** Values with a `# --` comment, and those without one that are no groups of such values. */
function valueLeaves(document: Document): ValueLeaf[] {
  if (!isMap(document.contents)) throw new Error('values.yaml holds no values');
  return leavesOf(document.contents, '', document.commentBefore ?? undefined);
}

/** @param outer comment before the map, which the parser does not give to its first key */
function leavesOf(map: YAMLMap, prefix: string, outer?: string | null): ValueLeaf[] {
  return map.items.flatMap(({ key, value }, index) => {
    if (!isScalar(key)) return [];
    const comments = [key.commentBefore, ...(index === 0 ? [map.commentBefore, outer] : [])];
    const path = `${prefix}${String(key.value)}`;
    if (comments.some((comment) => comment?.includes('-- '))) return { path, documented: true };
    return isMap(value) ? leavesOf(value, `${path}.`) : { path, documented: false };
  });
}

describe('rendered objects', () => {
  it.each(KUBE_VERSIONS)('are these by default on Kubernetes %s', async (version) => {
    const objects = await renderChart({}, version);

    expect(kinds(objects)).toEqual([
      'ClusterRole -/op-registry-operator',
      'ClusterRole -/op-registry-operator-edit',
      'ClusterRole -/op-registry-operator-view',
      'ClusterRoleBinding -/op-registry-operator',
      'CustomResourceDefinition -/registries.registry-operator.dev',
      'Deployment operators/op-registry-operator',
      'PodDisruptionBudget operators/op-registry-operator',
      'Role operators/op-registry-operator-leader-election',
      'RoleBinding operators/op-registry-operator-leader-election',
      'Service operators/op-registry-operator-metrics',
      'ServiceAccount operators/op-registry-operator',
    ]);
  });

  it('are these with everything set', async () => {
    const objects = await renderChart(EVERYTHING);

    expect(kinds(objects)).toEqual([
      'CustomResourceDefinition -/registries.registry-operator.dev',
      'Deployment operators/registries',
      'PodDisruptionBudget operators/registries',
      'Role operators/registries-leader-election',
      'Role team-a/registries',
      'Role team-b/registries',
      'RoleBinding operators/registries-leader-election',
      'RoleBinding team-a/registries',
      'RoleBinding team-b/registries',
      'Service operators/registries-metrics',
      'ServiceAccount operators/account',
      'ServiceMonitor operators/registries',
    ]);
  });

  it('carry the standard labels and those of the user', async () => {
    const objects = await renderChart({ commonLabels: { team: 'platform' } });
    const own = objects.filter(({ kind }) => kind !== 'CustomResourceDefinition');

    for (const { metadata } of own) {
      expect(metadata.labels).toMatchObject({
        team: 'platform',
        'app.kubernetes.io/name': 'registry-operator',
        'app.kubernetes.io/instance': RELEASE.name,
        'app.kubernetes.io/version': packageJson.version,
        'app.kubernetes.io/managed-by': 'Helm',
      });
    }
  });

  it('select the pods by labels that no value can change', async () => {
    const values = {
      commonLabels: { 'app.kubernetes.io/name': 'other' },
      podLabels: { 'app.kubernetes.io/name': 'x' },
    };

    const { selector, template } = deployment(await renderChart(values));

    expect(template.metadata.labels).toMatchObject(selector.matchLabels);
  });

  it.each([
    [1, 0],
    [2, 1],
  ])('have for %i replicas %i disruption budget', async (replicaCount, budgets) => {
    const objects = await renderChart({ replicaCount });

    expect(objects.filter(({ kind }) => kind === 'PodDisruptionBudget')).toHaveLength(budgets);
  });

  it('bring no ServiceAccount and no roles when those exist already', async () => {
    const objects = await renderChart({
      rbac: { create: false },
      serviceAccount: { create: false, name: 'mine' },
    });

    expect(kinds(objects).filter((kind) => /Role|ServiceAccount/.test(kind))).toEqual([]);
    expect(deployment(objects).template.spec['serviceAccountName']).toBe('mine');
  });

  it('keep names within the limits of Kubernetes', async () => {
    const objects = await renderChart({ fullnameOverride: `${'n'.repeat(62)}-` });

    for (const { metadata } of objects) expect(metadata.name.length).toBeLessThanOrEqual(63);
    expect(new Set(kinds(objects)).size).toBe(objects.length);
  });
});

describe('the Deployment', () => {
  it('runs the operator with its own image as that of the registries', async () => {
    const objects = await renderChart();
    const image = `ghcr.io/registry-operator/registry-operator:${packageJson.version}`;

    expect(deployment(objects).template.spec.containers[0]).toMatchObject({
      image,
      command: ['/usr/bin/node', '/app/operator.js'],
      args: ['run'],
    });
    expect(environment(objects)['OPERAND_IMAGE']).toBe(image);
  });

  it('takes a digest before a tag', async () => {
    const digest = `sha256:${'0'.repeat(64)}`;

    const objects = await renderChart({ image: { repository: 'r', tag: 't', digest } });

    expect(deployment(objects).template.spec.containers[0]?.image).toBe(`r@${digest}`);
  });

  it('hands every setting to the operator', async () => {
    expect(environment(await renderChart(EVERYTHING))).toMatchObject({
      WATCH_NAMESPACES: 'team-a,team-b',
      CLUSTER_DOMAIN: 'k8s.example.test',
      CONCURRENCY: '9',
      LOG_LEVEL: 'Debug',
      NODE_EXTRA_CA_CERTS: '/ca.crt',
    });
  });

  it('uses only settings that the operator knows', async () => {
    const known = new Set(OPERATOR_OPTIONS.map(({ env }) => env));
    const names = Object.keys(environment(await renderChart(EVERYTHING)));

    expect(names.filter((name) => !known.has(name))).toEqual([
      'POD_NAME',
      'POD_NAMESPACE',
      'NODE_EXTRA_CA_CERTS',
    ]);
  });

  it('spreads its own pods', async () => {
    const { template, selector } = deployment(await renderChart(EVERYTHING));

    expect(template.spec['topologySpreadConstraints']).toEqual([
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: selector.matchLabels },
      },
    ]);
  });
});

describe('the CustomResourceDefinition', () => {
  it('outlives an uninstall by default', async () => {
    const { metadata } = only(await renderChart(), 'CustomResourceDefinition');

    expect(metadata.annotations).toMatchObject({ 'helm.sh/resource-policy': 'keep' });
  });

  it('goes with the release when crds.keep is false', async () => {
    const { metadata } = only(await renderChart({ crds: { keep: false } }), 'CustomResourceDefinition');

    expect(metadata.annotations ?? {}).not.toHaveProperty(['helm.sh/resource-policy']);
  });

  it('is left out when crds.install is false', async () => {
    const objects = await renderChart({ crds: { install: false } });

    expect(kinds(objects).filter((kind) => kind.startsWith('Custom'))).toEqual([]);
  });
});

describe('refused values', () => {
  it.each<[string, Values, RegExp]>([
    ['a misspelt value', { replicas: 2 }, /replicas/],
    ['a misspelt value further down', { image: { repo: 'x' } }, /repo/],
    ['no replicas', { replicaCount: 0 }, /replicaCount/],
    ['text for a number', { concurrency: 'many' }, /concurrency/],
    ['an unknown log level', { logging: { level: 'info' } }, /level/],
    ['a broken digest', { image: { digest: 'sha256:abc' } }, /digest/],
    ['a namespace that cannot exist', { watchNamespaces: ['Team A'] }, /watchNamespaces/],
    [
      'no name for a ServiceAccount that exists',
      { serviceAccount: { create: false } },
      /serviceAccount\.name is required/,
    ],
    [
      'a ServiceMonitor without the Service',
      { metrics: { service: { enabled: false }, serviceMonitor: { enabled: true } } },
      /needs metrics\.service\.enabled/,
    ],
  ])('%s', async (_title, values, message) => {
    await expect(renderChart(values)).rejects.toThrow(message);
  });

  it('an API server that is too old', async () => {
    await expect(renderChart({}, '1.30.9')).rejects.toThrow(/requires kubeVersion/);
  });
});
