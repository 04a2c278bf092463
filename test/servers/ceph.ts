import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { toolPath } from '../helpers/tools.ts';
import { answersHttp, freePort, type RunningProcess, startProcess } from './process.ts';
import type { S3Server } from './s3-server.ts';

const run = promisify(execFile);

interface Cluster {
  readonly folder: string;
  readonly conf: string;
  readonly monitorPorts: { readonly v1: number; readonly v2: number };
  readonly gatewayPort: number;
}

/**
 * Starts the smallest Ceph that serves S3: one monitor, one OSD in memory and one RADOS gateway, on loopback.
 * Takes about 15 seconds. The strict server: it cuts corners on conditions that S3 has since 2024.
 */
export async function startCeph(): Promise<S3Server> {
  const folder = await mkdtemp(join(tmpdir(), 'ceph-'));
  const running: RunningProcess[] = [];
  const stop = async () => {
    for (const server of running.toReversed()) await server.stop();
    await rm(folder, { recursive: true });
  };
  try {
    return { ...(await startCluster(folder, running)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startCluster(folder: string, running: RunningProcess[]): Promise<Omit<S3Server, 'stop'>> {
  const cluster: Cluster = {
    folder,
    conf: join(folder, 'ceph.conf'),
    monitorPorts: { v1: await freePort(), v2: await freePort() },
    gatewayPort: await freePort(),
  };
  for (const name of ['mon', 'osd', 'run', 'log']) await mkdir(join(folder, name));
  const id = randomUUID();
  await writeFile(cluster.conf, configuration(cluster, id));
  await createKeys(folder);

  await createMonitor(cluster, id);
  running.push(await startMonitor(cluster));
  await createOsd(cluster);
  running.push(await startOsd(cluster));
  running.push(await startGateway(cluster));
  const credentials = { accessKeyId: 'test-access-key', secretAccessKey: 'test-secret-key' };
  await run(toolPath('radosgw-admin'), [
    '-c',
    cluster.conf,
    'user',
    'create',
    '--uid=test',
    '--display-name=test',
    `--access-key=${credentials.accessKeyId}`,
    `--secret-key=${credentials.secretAccessKey}`,
  ]);
  return { endpoint: `http://127.0.0.1:${cluster.gatewayPort}`, region: 'us-east-1', ...credentials };
}

async function createKeys(folder: string): Promise<void> {
  const keyring = join(folder, 'keyring');
  await run(toolPath('ceph-authtool'), ['--create-keyring', keyring]);
  const keys: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ['mon.', { mon: 'allow *' }],
    ['client.admin', { mon: 'allow *', osd: 'allow *', mgr: 'allow *' }],
    ['client.rgw', { mon: 'allow rw', osd: 'allow rwx' }],
    ['osd.0', { mon: 'allow profile osd', osd: 'allow *' }],
  ];
  for (const [name, rights] of keys) {
    const caps = Object.entries(rights).flatMap(([part, right]) => ['--cap', part, right]);
    await run(toolPath('ceph-authtool'), [keyring, '--gen-key', '-n', name, ...caps]);
  }
}

async function createMonitor({ folder, conf, monitorPorts }: Cluster, id: string): Promise<void> {
  const map = join(folder, 'monmap');
  const addresses = `[v2:127.0.0.1:${monitorPorts.v2},v1:127.0.0.1:${monitorPorts.v1}]`;
  await run(toolPath('monmaptool'), ['--create', '--fsid', id, '--addv', 'a', addresses, map]);
  await run(toolPath('ceph-mon'), ['-c', conf, '--mkfs', '-i', 'a', '--monmap', map]);
}

function startMonitor(cluster: Cluster): Promise<RunningProcess> {
  return startProcess({
    command: toolPath('ceph-mon'),
    args: ['-c', cluster.conf, '-f', '-i', 'a'],
    logFile: join(cluster.folder, 'log', 'mon.out'),
    ready: async () => (await ceph(cluster, 'quorum_status')).includes('quorum_leader_name'),
    timeoutMs: 30_000,
  });
}

async function createOsd(cluster: Cluster): Promise<void> {
  const id = randomUUID();
  await ceph(cluster, 'osd', 'require-osd-release', 'pacific', '--yes-i-really-mean-it').catch(() => {
    // Newer releases refuse to go back and need nothing.
  });
  await ceph(cluster, 'osd', 'new', id, '0');
  await run(toolPath('ceph-osd'), ['-c', cluster.conf, '-i', '0', '--mkfs', '--osd-uuid', id]);
}

function startOsd(cluster: Cluster): Promise<RunningProcess> {
  return startProcess({
    command: toolPath('ceph-osd'),
    args: ['-c', cluster.conf, '-f', '-i', '0'],
    logFile: join(cluster.folder, 'log', 'osd.out'),
    ready: async () => (await ceph(cluster, 'osd', 'stat')).includes('1 up'),
    timeoutMs: 60_000,
  });
}

async function startGateway({ folder, conf, gatewayPort }: Cluster): Promise<RunningProcess> {
  // The first start makes its pools one after another.
  return startProcess({
    command: toolPath('radosgw'),
    args: ['-c', conf, '-f', '-n', 'client.rgw'],
    logFile: join(folder, 'log', 'rgw.out'),
    ready: () => answersHttp(`http://127.0.0.1:${gatewayPort}`),
    timeoutMs: 90_000,
  });
}

async function ceph({ conf }: Cluster, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run(toolPath('ceph'), ['-c', conf, '--connect-timeout', '10', ...args]);
  // Commands of one kind are throttled by the monitor when they come without a pause.
  await sleep(100);
  return stdout;
}

/** No authentication would not do: radosgw refuses to start without cephx. */
function configuration({ folder, monitorPorts, gatewayPort }: Cluster, id: string): string {
  return `
[global]
fsid = ${id}
mon host = [v2:127.0.0.1:${monitorPorts.v2},v1:127.0.0.1:${monitorPorts.v1}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = ${folder}/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 2000
mon data = ${folder}/mon
osd data = ${folder}/osd
mon keyring = ${folder}/keyring
run dir = ${folder}/run
admin socket = ${folder}/run/$name.asok
log file = ${folder}/log/$name.log
pid file = ${folder}/run/$name.pid
debug mon = 0/0
debug osd = 0/0
debug ms = 0/0
debug rgw = 1/1
osd objectstore = memstore
memstore device bytes = 4294967296
memstore page set = false
osd memory target = 939524096
osd op num shards = 2
osd op num threads per shard = 1
osd class load list = *
osd class default list = *
mon cluster log file = ${folder}/log/cluster.log
ms type = async+posix
ms async op threads = 1

[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:${gatewayPort} tcp_nodelay=1
rgw dns name = localhost
rgw thread pool size = 32
rgw enable usage log = false
rgw enable ops log = false
rgw gc obj min wait = 10
rgw gc processor period = 10
`;
}
