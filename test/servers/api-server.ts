import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { toolPath } from '../helpers/tools.ts';
import { type ApiServerPki, createApiServerPki } from './api-server-pki.ts';
import { freePort, type RunningProcess, startProcess } from './process.ts';

/** A real kube-apiserver with its etcd on loopback; no controllers, no nodes. */
export interface ApiServer {
  /** `https://127.0.0.1:PORT` */
  readonly url: string;
  /** CA certificate, PEM. */
  readonly ca: string;
  /** Certificate and key of a client that may do everything, PEM. */
  readonly adminCert: string;
  readonly adminKey: string;
  readonly kubeconfigPath: string;
  /** What kube-apiserver has logged so far. */
  log(): string;
  /** Ends kube-apiserver and starts it again on the same port and etcd. */
  restart(): Promise<void>;
  /** Ends both processes and removes their files. */
  stop(): Promise<void>;
}

export interface ApiServerOptions {
  /** Further arguments of kube-apiserver, such as `--event-ttl=1m`. */
  readonly args?: readonly string[];
}

const START_MS = 90_000;

/** @throws Error with the end of the log when one of the two does not become ready */
export async function startApiServer(options: ApiServerOptions = {}): Promise<ApiServer> {
  const folder = await mkdtemp(join(tmpdir(), 'api-server-'));
  const started: RunningProcess[] = [];
  const killAll = () => started.forEach(({ pid }) => kill(pid));
  process.once('exit', killAll);
  async function stop(): Promise<void> {
    for (const server of started.toReversed()) await server.stop();
    process.off('exit', killAll);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
  try {
    const pki = await createApiServerPki();
    await writePki(folder, pki);
    const etcdUrl = `http://127.0.0.1:${await freePort()}`;
    started.push(await startEtcd(folder, etcdUrl));
    const port = await freePort();
    const startApi = () => startKubeApiServer(folder, { port, etcdUrl, pki, args: options.args ?? [] });
    let apiServer = await startApi();
    started.push(apiServer);
    const restart = async (): Promise<void> => {
      await apiServer.stop();
      started.splice(started.indexOf(apiServer), 1);
      apiServer = await startApi();
      started.push(apiServer);
    };
    const url = `https://127.0.0.1:${port}`;
    const kubeconfigPath = await writeKubeconfig(folder, url, pki);
    const { certificate: adminCert, key: adminKey } = pki.admin;
    return {
      url,
      ca: pki.ca,
      adminCert,
      adminKey,
      kubeconfigPath,
      log: () => apiServer.log(),
      restart,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startEtcd(folder: string, clientUrl: string): Promise<RunningProcess> {
  const peerUrl = `http://127.0.0.1:${await freePort()}`;
  return startProcess({
    command: toolPath('etcd'),
    args: [
      `--data-dir=${join(folder, 'etcd')}`,
      '--unsafe-no-fsync',
      '--log-level=warn',
      `--listen-client-urls=${clientUrl}`,
      `--advertise-client-urls=${clientUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=default=${peerUrl}`,
    ],
    logFile: join(folder, 'etcd.log'),
    ready: async () => (await fetch(`${clientUrl}/health`)).ok,
    timeoutMs: START_MS,
  });
}

interface KubeApiServer {
  readonly port: number;
  readonly etcdUrl: string;
  readonly pki: ApiServerPki;
  readonly args: readonly string[];
}

function startKubeApiServer(folder: string, server: KubeApiServer): Promise<RunningProcess> {
  const { port, etcdUrl, pki, args } = server;
  const file = (name: string) => join(folder, name);
  return startProcess({
    command: toolPath('kube-apiserver'),
    args: [
      `--etcd-servers=${etcdUrl}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      '--endpoint-reconciler-type=none',
      `--secure-port=${port}`,
      '--service-cluster-ip-range=10.0.0.0/24',
      '--allow-privileged=true',
      '--profiling=false',
      '--authorization-mode=Node,RBAC',
      // Without a controller manager no ServiceAccount appears, so that Pods would be refused.
      '--disable-admission-plugins=ServiceAccount',
      `--tls-cert-file=${file('server.crt')}`,
      `--tls-private-key-file=${file('server.key')}`,
      `--client-ca-file=${file('ca.crt')}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${file('service-account.key')}`,
      `--service-account-signing-key-file=${file('service-account.key')}`,
      ...args,
    ],
    logFile: file('kube-apiserver.log'),
    ready: () => isReady(port, pki),
    timeoutMs: START_MS,
  });
}

function isReady(port: number, { ca, admin }: ApiServerPki): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const { certificate: cert, key } = admin;
    request({ host: '127.0.0.1', port, path: '/readyz', ca, cert, key, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    })
      .on('error', reject)
      .end();
  });
}

async function writePki(folder: string, pki: ApiServerPki): Promise<void> {
  const files = {
    'ca.crt': pki.ca,
    'server.crt': pki.server.certificate,
    'server.key': pki.server.key,
    'service-account.key': pki.serviceAccountKey,
  };
  await Promise.all(
    Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text, { mode: 0o600 })),
  );
}

async function writeKubeconfig(folder: string, server: string, { ca, admin }: ApiServerPki): Promise<string> {
  const user = {
    'client-certificate-data': base64(admin.certificate),
    'client-key-data': base64(admin.key),
  };
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': base64(ca) } }],
    users: [{ name: 'admin', user }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    'current-context': 'test',
  };
  const path = join(folder, 'admin.kubeconfig');
  await writeFile(path, JSON.stringify(kubeconfig), { mode: 0o600 });
  return path;
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

/** For the case that the test process ends without {@link ApiServer.stop}. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}
