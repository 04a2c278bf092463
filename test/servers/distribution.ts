import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { command } from '../cluster/command.ts';
import { toolPath } from '../helpers/tools.ts';
import { answersHttp, freePort, startProcess } from './process.ts';
import type { S3Server } from './s3-server.ts';

/** Where a registry keeps its content, in the words of distribution's configuration. */
export type DistributionStorage =
  | { readonly filesystem: { readonly rootdirectory: string } }
  | { readonly s3: Readonly<Record<string, string | boolean>> };

/** Another registry than ours, without logins, over plain HTTP. */
export interface OtherRegistry extends AsyncDisposable {
  /** `127.0.0.1:port` */
  readonly host: string;
  readonly url: string;
  stop(): Promise<void>;
}

/** A program that is distribution 2 or 3. */
export interface DistributionProgram {
  /** `2.8` or `3` */
  readonly version: string;
  readonly command: string;
  /** Whether a tag can be deleted; where it cannot, only manifests can. */
  readonly deletesTags: boolean;
}

export const DISTRIBUTION_3: DistributionProgram = {
  version: '3',
  command: 'distribution',
  deletesTags: true,
};

/** @param root prefix of the keys, without slashes at its ends */
export function bucketStorage(server: S3Server, bucket: string, root?: string): DistributionStorage {
  return {
    s3: {
      accesskey: server.accessKeyId,
      secretkey: server.secretAccessKey,
      region: server.region,
      regionendpoint: server.endpoint,
      forcepathstyle: true,
      secure: false,
      bucket,
      ...(root === undefined ? {} : { rootdirectory: `/${root}` }),
    },
  };
}

/** Starts the registry on a free port. */
export async function startDistribution(
  program: DistributionProgram,
  storage: DistributionStorage,
): Promise<OtherRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'distribution-'));
  const host = `127.0.0.1:${await freePort()}`;
  const url = `http://${host}`;
  const server = await startProcess({
    command: toolPath(program.command),
    args: ['serve', await writeConfig(folder, storage, host)],
    logFile: join(folder, 'log'),
    ready: () => answersHttp(`${url}/v2/`),
    timeoutMs: 30_000,
  }).catch(async (error: unknown) => {
    await rm(folder, { recursive: true, force: true });
    throw error;
  });
  const stop = async (): Promise<void> => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  };
  return { host, url, stop, [Symbol.asyncDispose]: stop };
}

/**
 * Looks for what could be collected, and collects nothing.
 *
 * @returns the digests of the blobs that nothing refers to
 * @throws Error with its words when it stumbles over something
 */
export async function unreferencedBlobs(
  program: DistributionProgram,
  storage: DistributionStorage,
): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'distribution-'));
  try {
    const config = await writeConfig(folder, storage, '127.0.0.1:0');
    const said = await command(toolPath(program.command), ['garbage-collect', '--dry-run', config]);
    return [...said.matchAll(/^blob eligible for deletion: (\S+)$/gm)].map(([, digest = '']) => digest);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeConfig(folder: string, storage: DistributionStorage, host: string): Promise<string> {
  const file = join(folder, 'config.yml');
  // YAML that is JSON.
  const config = {
    version: 0.1,
    log: { level: 'warn', accesslog: { disabled: true } },
    storage: { ...storage, delete: { enabled: true }, redirect: { disable: true } },
    http: { addr: host },
  };
  await writeFile(file, JSON.stringify(config));
  return file;
}
