import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { hash } from 'bcryptjs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { KubeObject } from '../../src/operator/kube/types.ts';
import { COMPILE_CACHE } from '../helpers/compile-cache.ts';
import { SERVICE_MONITORS } from '../helpers/service-monitors.ts';
import { type ApiServer, startApiServer } from '../servers/api-server.ts';
import { freePort, type RunningProcess, startProcess } from '../servers/process.ts';
import { type Call, callsTo, mustCall } from './api.ts';
import { installChart, RELEASE, renderChart, type Values } from './helm.ts';

const OPERATOR = fileURLToPath(new URL('../../src/operator/main.ts', import.meta.url));
const ACCOUNT = 'op-registry-operator';
const USER = `system:serviceaccount:${RELEASE.namespace}:${ACCOUNT}`;
const NAMESPACE = 'team-a';
const REGISTRY = `/apis/registry-operator.dev/v1alpha1/namespaces/${NAMESPACE}/registries/main`;
const WAIT = { timeout: 30_000, interval: 100 };

/**
 * Rights that a run without controllers and without a second cluster feature cannot show, each with its reason.
 */
const NOT_SHOWN = [
  // Asked by an admission plugin that is off by default.
  'update registry-operator.dev/registries/finalizers',
];

let folder: string;
let server: ApiServer;
let call: Call;
let operator: RunningProcess | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rbac-'));
  await writeFile(join(folder, 'policy.json'), JSON.stringify(AUDIT_POLICY));
  server = await startApiServer({
    args: [
      `--audit-policy-file=${join(folder, 'policy.json')}`,
      `--audit-log-path=${join(folder, 'audit.log')}`,
    ],
  });
  call = callsTo(server);
});

afterEach(async () => {
  await operator?.stop();
  operator = undefined;
  await server.stop();
  await rm(folder, { recursive: true });
});

/** Writes down every call of the operator. */
const AUDIT_POLICY = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata', users: [USER] }, { level: 'None' }],
};

/** Everything that a Registry can have. */
const EVERYTHING = {
  apiVersion: 'registry-operator.dev/v1alpha1',
  kind: 'Registry',
  metadata: { name: 'main', namespace: NAMESPACE },
  spec: {
    replicas: 2,
    deletionPolicy: 'Delete',
    storage: {
      type: 'Filesystem',
      filesystem: { volumeClaim: { size: '1Gi', accessMode: 'ReadWriteMany' } },
    },
    auth: { basic: { htpasswdSecretRefs: [{ name: 'users' }] } },
    monitoring: { serviceMonitor: { mode: 'Enabled' } },
  },
};

/** What Kubernetes would say of the pods, in place of the controllers that do not run here. */
async function rollOut(): Promise<void> {
  const path = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/main`;
  const { metadata, spec } = (await mustCall(call, 'GET', path)) as {
    metadata: { generation: number };
    spec: { replicas: number };
  };
  const { replicas } = spec;
  const counts = {
    replicas,
    updatedReplicas: replicas,
    readyReplicas: replicas,
    availableReplicas: replicas,
  };
  await mustCall(call, 'PATCH', `${path}/status`, {
    status: { ...counts, observedGeneration: metadata.generation },
  });
}

async function exists(path: string): Promise<boolean> {
  return (await call('GET', path)).startsWith('200');
}

const OPTIONAL_OBJECTS = [
  `/apis/policy/v1/namespaces/${NAMESPACE}/poddisruptionbudgets/main`,
  `/apis/monitoring.coreos.com/v1/namespaces/${NAMESPACE}/servicemonitors/main`,
  `/api/v1/namespaces/${NAMESPACE}/secrets/main-ca`,
  `/api/v1/namespaces/${NAMESPACE}/secrets/main-tls`,
  `/api/v1/namespaces/${NAMESPACE}/configmaps/main-ca`,
];

/** Waits until the objects that a Registry may do without are all there or all gone. */
async function waitForOptional(wanted: boolean): Promise<void> {
  await vi.waitFor(async () => {
    await rollOut();
    const found = await Promise.all(OPTIONAL_OBJECTS.map((path) => exists(path)));
    expect(found).toEqual(OPTIONAL_OBJECTS.map(() => wanted));
  }, WAIT);
}

/** Starts the operator from its sources with the token of the ServiceAccount that the chart has made. */
async function startOperator(values: Values): Promise<RunningProcess> {
  const path = `/api/v1/namespaces/${RELEASE.namespace}/serviceaccounts/${ACCOUNT}/token`;
  const { status } = (await mustCall(call, 'POST', path, {})) as { status: { token: string } };
  const kubeconfig = join(folder, 'kubeconfig');
  const access = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server: server.url, 'certificate-authority-data': btoa(server.ca) } }],
    users: [{ name: 'u', user: { token: status.token } }],
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'c',
  };
  await writeFile(kubeconfig, JSON.stringify(access));
  const port = await freePort();
  const namespaces = ((values['watchNamespaces'] ?? []) as string[]).join(',');
  return startProcess({
    command: process.execPath,
    args: [OPERATOR, 'run', `--kubeconfig=${kubeconfig}`, `--ops-listen=127.0.0.1:${port}`],
    env: {
      ...COMPILE_CACHE,
      POD_NAME: 'operator-0',
      POD_NAMESPACE: RELEASE.namespace,
      WATCH_NAMESPACES: namespaces,
    },
    logFile: join(folder, 'operator.log'),
    ready: async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok,
    timeoutMs: 30_000,
  });
}

/** Lets a Registry live through everything that the operator does. */
async function liveThrough(): Promise<void> {
  await mustCall(call, 'POST', REGISTRY.replace('/main', ''), EVERYTHING);
  await vi.waitFor(async () => {
    expect(await exists(`/apis/apps/v1/namespaces/${NAMESPACE}/deployments/main`)).toBe(true);
  }, WAIT);
  // The second time an event repeats itself, and is counted instead of written.
  for (const _ of ['once', 'again']) {
    await mustCall(call, 'PATCH', REGISTRY, { spec: { ...EVERYTHING.spec, tls: { type: 'SelfSigned' } } });
    await waitForOptional(true);
    const less = { replicas: 1, tls: { type: 'None' }, monitoring: { serviceMonitor: { mode: 'Disabled' } } };
    await mustCall(call, 'PATCH', REGISTRY, { spec: less });
    await waitForOptional(false);
  }
  await mustCall(call, 'DELETE', REGISTRY);
  await vi.waitFor(async () => {
    expect(await exists(REGISTRY)).toBe(false);
  }, WAIT);
}

interface AuditEvent {
  verb: string;
  objectRef?: {
    apiGroup?: string;
    resource: string;
    subresource?: string;
    namespace?: string;
    name?: string;
  };
  responseStatus?: { code: number; message?: string };
}

async function auditEvents(): Promise<AuditEvent[]> {
  const lines = (await readFile(join(folder, 'audit.log'), 'utf8')).split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as AuditEvent);
}

/** `verb group/resource/subresource` of every call. */
function usedRights(events: readonly AuditEvent[]): string[] {
  const used = events.flatMap(({ verb, objectRef, responseStatus }) => {
    if (objectRef === undefined) return [];
    const { apiGroup = '', resource, subresource } = objectRef;
    const target = `${apiGroup}/${resource}${subresource === undefined ? '' : `/${subresource}`}`;
    // A server-side apply that makes the object needs both rights.
    const verbs = verb === 'patch' && responseStatus?.code === 201 ? ['patch', 'create'] : [verb];
    return verbs.map((each) => `${each} ${target}`);
  });
  return [...new Set(used)].toSorted();
}

/** The same for the roles that the chart binds to the ServiceAccount. */
async function grantedRights(values: Values): Promise<string[]> {
  const objects = await renderChart(values);
  const bound = objects.flatMap((object) => {
    const { roleRef, subjects } = object as KubeObject & {
      roleRef?: { kind: string; name: string };
      subjects?: { name: string }[];
    };
    return subjects?.some(({ name }) => name === ACCOUNT) === true && roleRef ? roleRef : [];
  });
  const roles = objects.filter(({ kind, metadata }) =>
    bound.some((role) => role.kind === kind && role.name === metadata.name),
  );
  const rules = roles.flatMap(
    (role) => role['rules'] as { apiGroups: string[]; resources: string[]; verbs: string[] }[],
  );
  const rights = rules.flatMap(({ apiGroups, resources, verbs }) =>
    verbs.flatMap((verb) =>
      apiGroups.flatMap((group) => resources.map((name) => `${verb} ${group}/${name}`)),
    ),
  );
  return [...new Set(rights)].toSorted();
}

describe('the rights that the chart gives to the operator', () => {
  it.each<[string, Values]>([
    ['the whole cluster', {}],
    ['one namespace', { watchNamespaces: [NAMESPACE] }],
  ])('are those that it uses, for %s', async (_title, values) => {
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } };
    const users = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'users' },
      stringData: { htpasswd: `alice:${await hash('x', 4)}\n` },
    };
    await mustCall(call, 'POST', '/api/v1/namespaces', namespace);
    await mustCall(call, 'POST', `/api/v1/namespaces/${NAMESPACE}/secrets`, users);
    await mustCall(call, 'POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', SERVICE_MONITORS);
    await installChart(server.kubeconfigPath, values);
    operator = await startOperator(values);

    await liveThrough().catch(async (error: unknown) => {
      const registry = await call('GET', REGISTRY);
      throw new Error(`${String(error)}\n${registry}\n${operator?.log().slice(-4000)}`);
    });
    await operator.stop();

    const events = await auditEvents();
    expect(events.filter(({ responseStatus }) => responseStatus?.code === 403)).toEqual([]);
    expect([...usedRights(events), ...NOT_SHOWN].toSorted()).toEqual(await grantedRights(values));
  });
});
