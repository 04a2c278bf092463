import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { hashSync } from 'bcryptjs';

import { build } from '../../../scripts/build.ts';
import type { RegistryConfigInput } from '../../../src/api/registry-config.ts';
import { createAuthority } from '../../../src/operator/pki/authority.ts';
import { issueCertificate } from '../../../src/operator/pki/certificate.ts';
import { startRegistry, type TestRegistry } from '../../servers/registry.ts';

export const USER = 'ada';
/** With the colon that a careless parser of credentials trips over. */
export const PASSWORD = 'sec:ret';
const CREDENTIALS = `${USER}:${PASSWORD}`;

export interface ServerOptions {
  /** What strangers may do; nothing unless set. */
  readonly anonymous?: 'None' | 'Pull' | 'PullPush';
  /** A folder of its own unless set. */
  readonly storage?: RegistryConfigInput['storage'];
  /** Plain HTTP. */
  readonly plain?: boolean;
  /** Further names of the registry, see `http.hosts` of its configuration. */
  readonly hosts?: readonly string[];
}

/** A line of the access log. */
export interface LoggedRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly status: number;
  /** Bytes of the body. */
  readonly received: number;
}

/** A server that clients reach. */
export interface Server {
  /** `127.0.0.1:port` */
  readonly host: string;
  /** Environment of a client that is logged in as {@link USER}; trusts the CA. */
  readonly user: NodeJS.ProcessEnv;
  /** Environment of a client that has no credentials; trusts the CA. */
  readonly stranger: NodeJS.ProcessEnv;
  /** Asks the server itself, as the user. @returns the whole answer */
  call: TestRegistry['call'];
  /** What clients asked so far. */
  requests(): LoggedRequest[];
}

/** What the tests of one client share: the bundled server program, certificates, a user. */
export interface Workshop extends AsyncDisposable {
  readonly folder: string;
  /** PEM of the CA of every server. */
  readonly caFile: string;
  start(options?: ServerOptions): Promise<Server>;
}

/** Bundles the server as a release does; its servers end when the workshop is disposed. */
export async function openWorkshop(): Promise<Workshop> {
  const folder = await mkdtemp(join(tmpdir(), 'clients-'));
  const bundle = join(folder, 'bundle');
  await build(bundle).catch(async (error: unknown) => {
    await rm(folder, { recursive: true, force: true });
    throw error;
  });
  const certificates = await writeCertificates(folder);
  const users = join(folder, 'htpasswd');
  await writeFile(users, `${USER}:${hashSync(PASSWORD, 4)}\n`);
  const started: TestRegistry[] = [];
  return {
    folder,
    caFile: certificates.caFile,
    async start({ anonymous = 'None', storage, plain = false, hosts = [] } = {}) {
      const own = await mkdtemp(join(folder, 'server-'));
      const { certificateFile, keyFile, caFile, authority } = certificates;
      const registry = await startRegistry({
        folder: own,
        program: join(bundle, 'registry.js'),
        config: {
          storage: storage ?? { driver: 'filesystem', rootDirectory: join(own, 'data') },
          http: { hosts: [...hosts], ...(plain ? {} : { tls: { certificateFile, keyFile } }) },
          auth: { basic: { htpasswdFiles: [users] }, anonymous },
        },
        ca: authority,
      });
      started.push(registry);
      const { host } = new URL(registry.url);
      return {
        host,
        user: await environment(join(own, 'user'), caFile, host),
        stranger: await environment(join(own, 'stranger'), caFile),
        call: (target, call) => registry.call(target, { user: CREDENTIALS, ...call }),
        requests: () => readRequests(registry.process.log()),
      };
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(started.map((registry) => registry.process.stop()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function readRequests(log: string): LoggedRequest[] {
  return log
    .split('\n')
    .filter((line) => line.includes('"msg":"request"'))
    .map((line): LoggedRequest => JSON.parse(line));
}

interface Certificates {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly caFile: string;
  /** PEM */
  readonly authority: string;
}

async function writeCertificates(folder: string): Promise<Certificates> {
  const issue = { now: new Date(), randomBytes: (size: number) => randomBytes(size) };
  const made = await createAuthority('test', issue);
  const leaf = await issueCertificate(made, { commonName: 'registry', names: ['127.0.0.1'] }, issue);
  const [certificateFile, keyFile] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
  // A folder that holds nothing else: podman and its kin read every file there.
  const caFile = join(folder, 'authority', 'ca.crt');
  await mkdir(join(folder, 'authority'));
  await writeFile(certificateFile, leaf.certificate);
  await writeFile(keyFile, leaf.key);
  await writeFile(caFile, made.certificate);
  return { certificateFile, keyFile, caFile, authority: made.certificate };
}

/** Where clients look for a CA and for logins. Their own files go to a home of their own. */
async function environment(home: string, caFile: string, host?: string): Promise<NodeJS.ProcessEnv> {
  const config = join(home, '.docker');
  await mkdir(config, { recursive: true });
  const auths = host === undefined ? {} : { [host]: { auth: Buffer.from(CREDENTIALS).toString('base64') } };
  const authFile = join(config, 'config.json');
  await writeFile(authFile, JSON.stringify({ auths }));
  return {
    PATH: process.env['PATH'],
    HOME: home,
    DOCKER_CONFIG: config,
    REGISTRY_AUTH_FILE: authFile,
    HELM_REGISTRY_CONFIG: authFile,
    SSL_CERT_FILE: caFile,
  };
}
