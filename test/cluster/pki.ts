import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { toolPath } from '../helpers/tools.ts';
import { command } from './command.ts';
import { CLUSTER_DOMAIN, NODE_NAME, type ClusterSettings } from './settings.ts';

interface Request {
  readonly name: string;
  readonly subject: string;
  /** In the words of openssl: `IP:10.0.0.1`, `DNS:localhost`. */
  readonly alternativeNames?: readonly string[];
}

/** Programs that speak to the API server as `system:<name>`. */
const SYSTEM_CLIENTS = [
  'kube-controller-manager',
  'kube-scheduler',
  'kube-proxy',
  'cluster-dns',
  'dir-provisioner',
];

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** Makes the cluster's authority, certificates and kubeconfigs under its folder, where they are missing. */
export async function writeCredentials(settings: ClusterSettings): Promise<void> {
  const pki = join(settings.dir, 'pki');
  await mkdir(pki, { recursive: true });
  await Promise.all([makeAuthority(pki), makeServiceAccountKey(pki)]);
  await Promise.all(requests(settings).map((request) => makeCertificate(pki, request)));
  const files = [
    { name: 'admin', file: join(settings.dir, 'admin.kubeconfig') },
    ...['kubelet', ...SYSTEM_CLIENTS].map((name) => ({
      name,
      file: join(settings.dir, 'etc', `${name}.kubeconfig`),
    })),
  ];
  await Promise.all(files.map(({ name, file }) => writeKubeconfig(settings, name, file)));
}

function requests({ nodeIP, firstServiceIP }: ClusterSettings): Request[] {
  const service = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc'];
  const names = ['localhost', ...service, `kubernetes.default.svc.${CLUSTER_DOMAIN}`];
  return [
    {
      name: 'apiserver',
      subject: '/CN=kube-apiserver',
      alternativeNames: [
        ...[nodeIP, '127.0.0.1', firstServiceIP].map((address) => `IP:${address}`),
        ...names.map((name) => `DNS:${name}`),
      ],
    },
    { name: 'apiserver-kubelet', subject: '/O=system:masters/CN=kube-apiserver-kubelet-client' },
    { name: 'front-proxy', subject: '/CN=front-proxy-client' },
    {
      name: 'kubelet',
      subject: `/O=system:nodes/CN=system:node:${NODE_NAME}`,
      alternativeNames: [`IP:${nodeIP}`, `DNS:${NODE_NAME}`],
    },
    { name: 'admin', subject: '/O=system:masters/CN=admin' },
    ...SYSTEM_CLIENTS.map((name) => ({ name, subject: `/CN=system:${name}` })),
  ];
}

async function makeAuthority(pki: string): Promise<void> {
  if (existsSync(join(pki, 'ca.crt'))) {
    return;
  }
  const usage = ['-addext', 'keyUsage=critical,digitalSignature,keyCertSign,cRLSign'];
  const output = ['-keyout', join(pki, 'ca.key'), '-out', join(pki, 'ca.crt')];
  const subject = ['-days', '365', '-subj', '/CN=registry-operator-test-cluster'];
  await openssl(['req', '-x509', '-new', ...CURVE, ...subject, ...usage, ...output]);
}

async function makeServiceAccountKey(pki: string): Promise<void> {
  const file = join(pki, 'sa.key');
  if (!existsSync(file)) {
    await openssl(['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', file]);
  }
}

async function makeCertificate(pki: string, { name, subject, alternativeNames }: Request): Promise<void> {
  const path = (extension: string): string => join(pki, `${name}.${extension}`);
  if (existsSync(path('crt'))) {
    return;
  }
  const extensions = [
    'keyUsage=critical,digitalSignature,keyEncipherment',
    'extendedKeyUsage=clientAuth,serverAuth',
    'basicConstraints=critical,CA:false',
    ...(alternativeNames ? [`subjectAltName=${alternativeNames.join(',')}`] : []),
  ];
  await writeFile(path('ext'), extensions.join('\n'));
  await openssl(['req', '-new', ...CURVE, '-subj', subject, '-keyout', path('key'), '-out', path('csr')]);
  const authority = ['-CA', join(pki, 'ca.crt'), '-CAkey', join(pki, 'ca.key')];
  const output = ['-days', '365', '-extfile', path('ext'), '-out', path('crt')];
  await openssl(['x509', '-req', '-in', path('csr'), ...authority, ...output]);
  await Promise.all([rm(path('ext')), rm(path('csr'))]);
}

async function writeKubeconfig(settings: ClusterSettings, user: string, file: string): Promise<void> {
  const pki = join(settings.dir, 'pki');
  const base64 = (name: string): Promise<string> => readFile(join(pki, name), 'base64');
  const name = `registry-operator-${settings.id}`;
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name,
        cluster: {
          server: `https://${settings.nodeIP}:6443`,
          'certificate-authority-data': await base64('ca.crt'),
        },
      },
    ],
    users: [
      {
        name: user,
        user: {
          'client-certificate-data': await base64(`${user}.crt`),
          'client-key-data': await base64(`${user}.key`),
        },
      },
    ],
    contexts: [{ name, context: { cluster: name, user } }],
    'current-context': name,
  };
  await writeFile(file, `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 });
}

function openssl(args: readonly string[]): Promise<string> {
  return command(toolPath('openssl'), args);
}
