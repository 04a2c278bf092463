import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Cluster } from '../../cluster/cluster.ts';
import { command } from '../../cluster/command.ts';
import { writeStaticImage } from '../../cluster/static-image.ts';
import { toolPath } from '../../helpers/tools.ts';
import { get } from './objects.ts';

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** How a client on this machine reaches a Registry: by its ClusterIP, with the CA that the operator publishes. */
export interface Reach {
  /** `10.96.1.17:5000` */
  readonly host: string;
  /** `registry.default.svc:5000`, the name in image references inside the cluster. */
  readonly endpoint: string;
  /** PEM; undefined when the certificate is not the operator's. */
  readonly ca: string | undefined;
}

export async function reach(cluster: Cluster, namespace: string, name: string): Promise<Reach> {
  const { status } = await get(cluster, namespace, 'registry', name);
  const service = await get(cluster, namespace, 'service', name);
  const ca =
    status?.caConfigMapName === undefined
      ? undefined
      : await get(cluster, namespace, 'configmap', status.caConfigMapName);
  return {
    host: `${String(service.spec['clusterIP'])}:5000`,
    endpoint: status?.endpoint ?? '',
    ca: ca?.data?.['ca.crt'],
  };
}

/** A folder of a test for what clients need: CA files, credentials, archives. Removed by `await using`. */
export class Workspace implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(): Promise<Workspace> {
    return new Workspace(await mkdtemp(join(tmpdir(), 'registry-e2e-')));
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Archive of a one-layer image that runs: the test program of the cluster. */
  async image(name: string): Promise<string> {
    const archive = this.path('image.tar');
    await writeStaticImage(archive, name, toolPath('testapp'));
    return archive;
  }

  /** Environment for clients written in Go: trusts exactly this CA, logs in with these credentials. */
  async environment(
    ca: string | undefined,
    host: string,
    credentials?: Credentials,
  ): Promise<NodeJS.ProcessEnv> {
    const folder = await mkdtemp(join(this.folder, 'client-'));
    const auths = credentials === undefined ? {} : { [host]: { auth: basic(credentials) } };
    await writeFile(join(folder, 'config.json'), JSON.stringify({ auths }));
    if (ca === undefined) return { ...process.env, DOCKER_CONFIG: folder };
    await writeFile(join(folder, 'ca.crt'), ca);
    return { ...process.env, DOCKER_CONFIG: folder, SSL_CERT_FILE: join(folder, 'ca.crt') };
  }

  /** As above, for one Registry. */
  clientOf({ ca, host }: Reach, credentials?: Credentials): Promise<NodeJS.ProcessEnv> {
    return this.environment(ca, host, credentials);
  }

  /** Folder in the form of docker's certs.d that holds only this CA. */
  async certDirectory(ca: string): Promise<string> {
    const folder = this.path('certs');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'ca.crt'), ca);
    return folder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

function basic({ user, password }: Credentials): string {
  return Buffer.from(`${user}:${password}`).toString('base64');
}

export function crane(args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  return command(toolPath('crane'), args, { env });
}

/** Lines of an htpasswd file, made by Apache's own program. */
export async function htpasswdLine({ user, password }: Credentials): Promise<string> {
  return command(toolPath('htpasswd'), ['-niB', user], { input: password });
}
