import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';

import { API_VERSION, REGISTRY_KIND, REGISTRY_PLURAL } from '../../../src/api/group.ts';
import { KINDS } from '../../../src/operator/kube/kinds.ts';
import type { KubeObject } from '../../../src/operator/kube/types.ts';
import { COMPILE_CACHE } from '../../helpers/compile-cache.ts';
import { freePort } from '../../servers/process.ts';
import { Environment, until } from './environment.ts';

const MAIN = 'src/operator/main.ts';
const REGISTRIES = {
  apiVersion: API_VERSION,
  kind: REGISTRY_KIND,
  plural: REGISTRY_PLURAL,
  namespaced: true,
};

let environment: Environment;
const processes: ChildProcess[] = [];

beforeAll(async () => {
  environment = await Environment.start();
  const crd: KubeObject = parse(await readFile('crds/registries.yaml', 'utf8'));
  await environment.direct.create(KINDS.customResourceDefinition, crd);
  const listed = async (): Promise<boolean> => {
    try {
      await environment.direct.list(REGISTRIES, {});
      return true;
    } catch {
      return false;
    }
  };
  await until('the API server serves Registries', listed);
});

afterEach(async () => {
  for (const child of processes.splice(0)) {
    if (child.exitCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});

afterAll(() => environment?.stop());

interface Running {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  /** What it has written. */
  readonly output: () => string;
}

function operator(args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const { PATH, HOME } = process.env;
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PATH, HOME, ...COMPILE_CACHE, ...env },
  });
  processes.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const exited = once(child, 'exit').then(([code]: (number | null)[]) => code ?? null);
  return { child, exited, output: () => text };
}

async function run(namespace: string): Promise<Running & { ops: string }> {
  const port = await freePort();
  const running = operator(['run', '--ops-listen', `127.0.0.1:${port}`, '--watch-namespaces', namespace], {
    KUBECONFIG: environment.api.kubeconfigPath,
    POD_NAMESPACE: namespace,
    POD_NAME: 'operator-0',
    LOG_LEVEL: 'Debug',
  });
  const ops = `http://127.0.0.1:${port}`;
  await until('it works', () => running.output().includes('caches have synced, working'));
  return { ...running, ops };
}

function registry(namespace: string): KubeObject {
  const spec = { storage: { type: 'Ephemeral', ephemeral: {} }, auth: { anonymous: 'Pull' } };
  return { apiVersion: API_VERSION, kind: REGISTRY_KIND, metadata: { namespace, name: 'a' }, spec };
}

function lease(namespace: string): Promise<KubeObject | undefined> {
  return environment.direct.get(KINDS.lease, { namespace, name: 'registry-operator' });
}

describe('operator run', () => {
  test('makes the objects of a Registry, stops in order and gives the lease back', async () => {
    const namespace = await environment.namespace();
    const { child, exited, output, ops } = await run(namespace);

    await environment.direct.create(REGISTRIES, registry(namespace));
    const key = { namespace, name: 'a' };
    await until(
      'the Deployment exists',
      async () => (await environment.direct.get(KINDS.deployment, key)) !== undefined,
    );
    expect((await fetch(`${ops}/livez`)).status).toBe(200);
    expect((await fetch(`${ops}/readyz`)).status).toBe(200);
    child.kill('SIGTERM');

    await expect(exited).resolves.toBe(0);
    expect(await lease(namespace)).toMatchObject({ spec: { leaseDurationSeconds: 1 } });
    expect((await lease(namespace))?.['spec']).not.toHaveProperty(
      'holderIdentity',
      expect.stringContaining('operator-0'),
    );
    expect(output()).not.toContain('PRIVATE KEY');
  });

  test('exits with 1 when somebody else takes the lease', async () => {
    const namespace = await environment.namespace();
    const { exited } = await run(namespace);

    const spec = { holderIdentity: 'somebody', leaseDurationSeconds: 60 };
    await environment.direct.mergePatch(KINDS.lease, { namespace, name: 'registry-operator' }, { spec });

    await expect(exited).resolves.toBe(1);
  });

  test('says what is wrong with its settings, all at once', async () => {
    const { exited, output } = operator(['run', '--concurrency', 'many'], { LOG_LEVEL: 'loud' });

    await expect(exited).resolves.toBe(1);
    expect(output()).toContain('--concurrency (CONCURRENCY): "many" is not 1 to 64');
    expect(output()).toContain('--log-level (LOG_LEVEL): "loud" is not Error, Warn, Info or Debug');
    expect(output()).toContain('--leader-election-namespace');
  });

  test('says that there is no cluster', async () => {
    const { exited, output } = operator(['run', '--leader-elect=false'], { HOME: '/nonexistent' });

    await expect(exited).resolves.toBe(1);
    expect(output()).toContain('no access to a cluster');
  });
});
