import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { toolPath } from '../helpers/tools.ts';
import { startCluster, type Cluster } from './cluster.ts';
import { command } from './command.ts';
import { recordedNode } from './node-process.ts';
import { isAlive } from './process-identity.ts';
import { clusterSettings, TESTAPP_IMAGE } from './settings.ts';
import { clusterTraces } from './traces.ts';

const SYSCTLS = ['vm/overcommit_memory', 'kernel/panic', 'kernel/panic_on_oops', 'net/ipv4/ip_forward'];

/** What a cluster must not change on the machine. */
async function machineState(): Promise<unknown> {
  return {
    firewall: await command(toolPath('nft'), ['list', 'ruleset']),
    sysctls: await Promise.all(SYSCTLS.map((name) => readFile(`/proc/sys/${name}`, 'utf8'))),
    addresses: await command(toolPath('ip'), ['-brief', 'addr']),
    mounts: (await readFile('/proc/self/mounts', 'utf8')).split('\n').length,
  };
}

async function eventually<T>(check: () => Promise<T>, seconds = 60): Promise<T> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > end) {
        throw error;
      }
      await delay(200);
    }
  }
}

const APP = {
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'data' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '10Mi' } } },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'app' },
      spec: { selector: { app: 'app' }, ports: [{ port: 80, targetPort: 8080 }] },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'app', labels: { app: 'app' } },
      spec: {
        securityContext: { runAsUser: 65532, runAsGroup: 65532, runAsNonRoot: true, fsGroup: 65532 },
        containers: [
          {
            name: 'app',
            image: TESTAPP_IMAGE,
            imagePullPolicy: 'Never',
            args: ['serve'],
            readinessProbe: { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 1 },
            volumeMounts: [{ name: 'data', mountPath: '/data' }],
          },
        ],
        volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }],
      },
    },
  ],
};

describe('a cluster', () => {
  let before: unknown;
  let cluster: Cluster;

  beforeAll(async () => {
    before = await machineState();
    cluster = await startCluster({ id: 190 });
    await cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(APP) });
    await cluster.kubectl(['wait', '--for=condition=Ready', 'pod/app', '--timeout=60s']);
  });

  afterAll(() => cluster.stop());

  test('gives a pod that is not root a volume that it can write to', async () => {
    await cluster.kubectl(['exec', 'app', '--', '/testapp', 'write', '/data/file', 'kept']);

    expect(await cluster.kubectl(['exec', 'app', '--', '/testapp', 'cat', '/data/file'])).toBe('kept');
  });

  test('answers on a service address from the host, and by its name from a pod', async () => {
    const address = await cluster.kubectl(['get', 'service', 'app', '-o', 'jsonpath={.spec.clusterIP}']);

    const fromHost = await eventually(async () => (await fetch(`http://${address}/`)).text());
    const fromPod = await cluster.kubectl([
      'exec',
      'app',
      '--',
      '/testapp',
      'get',
      'http://app.default.svc.cluster.local/',
    ]);

    expect(fromHost).toContain('hello from app');
    expect(fromPod).toContain('hello from app');
  });

  test('reaches servers of the host, and asks them for the images of a registry host', async () => {
    const requests: string[] = [];
    const server = createServer((request, response) => {
      requests.push(request.url ?? '');
      response.writeHead(404).end();
    }).listen(0, cluster.hostIP);
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const url = `http://${cluster.hostIP}:${port}`;
    await cluster.addRegistryHost('registry.example', { server: url });

    await cluster.kubectl(['exec', 'app', '--', '/testapp', 'get', `${url}/from-pod`]);
    const pod = { name: 'puller', image: 'registry.example/team/app:1' };
    await cluster.kubectl(['run', pod.name, '--image', pod.image]);
    await eventually(async () => expect(requests).toContain('/v2/team/app/manifests/1?ns=registry.example'));

    expect(requests[0]).toBe('/from-pod');
    server.close();
  });

  test('leaves nothing behind and has changed nothing when it is stopped', async () => {
    const settings = clusterSettings(cluster.id);
    expect(await clusterTraces(settings)).not.toEqual([]);

    await cluster.stop();

    expect(await clusterTraces(settings)).toEqual([]);
    expect(await machineState()).toEqual(before);
  });
});

describe('a cluster whose owner was killed', () => {
  test('ends, and its id can be used again', async () => {
    const settings = clusterSettings(191);
    const program = `import { startCluster } from '${new URL('cluster.ts', import.meta.url).href}';
      await startCluster({ id: 191 }); console.log('up'); setInterval(() => {}, 1000);`;
    const owner = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(owner.stdout, 'data');
    await expect(startCluster({ id: 191 })).rejects.toThrow('cluster 191 is in use by process');
    const node = await recordedNode(settings);

    owner.kill('SIGKILL');
    await eventually(async () => expect(await isAlive(node!.init!)).toBe(false), 10);
    const second = await startCluster({ id: 191 });
    await second.stop();

    expect(await clusterTraces(settings)).toEqual([]);
  });
});
