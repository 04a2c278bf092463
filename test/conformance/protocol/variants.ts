import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { hash } from 'bcryptjs';

import type { RegistryConfigInput } from '../../../src/api/registry-config.ts';
import { createAuthority } from '../../../src/operator/pki/authority.ts';
import { issueCertificate } from '../../../src/operator/pki/certificate.ts';
import { scratchFolder } from '../../helpers/scratch-folder.ts';
import { startRegistry } from '../../servers/registry.ts';
import { startVersitygw } from '../../servers/versitygw.ts';
import type { Connection } from './client.ts';

/** What a registry stands on, and how clients reach it. */
export interface Variant {
  readonly storage: 'filesystem' | 'memory' | 's3';
  /** Open: http, everybody may push and delete. Secured: https, with a user and a password. */
  readonly access: 'open' | 'secured';
  /** Settings beside those that the suite needs. */
  readonly config?: Partial<Omit<RegistryConfigInput, 'storage' | 'auth' | 'ops'>>;
  /** Writes what the folder holds before the first start; for storage in a folder. */
  readonly seed?: (rootDirectory: string) => Promise<void>;
}

export interface RunningVariant {
  readonly connection: Connection;
  /** Ends every process and removes every file. */
  stop(): Promise<void>;
}

/** A name of the registry beside the address that it listens on. */
export const FURTHER_HOST = 'registry.example.com';

const USER = 'suite:correct horse';

type Cleanup = () => Promise<unknown>;

/** Starts a registry from its sources, with the server of its storage. */
export async function startVariant({ storage, access, config = {}, seed }: Variant): Promise<RunningVariant> {
  const folder = await scratchFolder('protocol-');
  const cleanups: Cleanup[] = [() => rm(folder, { recursive: true })];
  const stop = async () => {
    for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  };
  try {
    await seed?.(join(folder, 'data'));
    const secured = access === 'secured' ? await secure(folder) : undefined;
    const registry = await startRegistry({
      folder,
      config: {
        ...config,
        storage: await STORAGES[storage](folder, cleanups),
        auth: secured?.auth ?? { anonymous: 'PullPush', anonymousDelete: true },
        http: { ...config.http, hosts: [FURTHER_HOST], ...(secured ? { tls: secured.tls } : {}) },
      },
    });
    cleanups.push(() => registry.process.stop());
    return { connection: { url: registry.url, ...secured?.client }, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const STORAGES: Readonly<
  Record<Variant['storage'], (folder: string, cleanups: Cleanup[]) => Promise<RegistryConfigInput['storage']>>
> = {
  memory: async () => ({ driver: 'memory' }),
  filesystem: async (folder) => ({ driver: 'filesystem', rootDirectory: join(folder, 'data') }),
  s3: async (folder, cleanups) => {
    const server = await startVersitygw();
    cleanups.push(() => server.stop());
    const { endpoint, region, accessKeyId, secretAccessKey } = server;
    const credentials = { accessKeyId, secretAccessKey };
    const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
    await client.send(new CreateBucketCommand({ Bucket: 'protocol' }));
    client.destroy();
    await writeFile(join(folder, 'AWS_ACCESS_KEY_ID'), accessKeyId);
    await writeFile(join(folder, 'AWS_SECRET_ACCESS_KEY'), secretAccessKey);
    return { driver: 's3', bucket: 'protocol', endpoint, region, credentialsDirectory: folder };
  },
};

/** A certificate and a user for a registry, and what a client of it needs. */
async function secure(folder: string) {
  const options = { now: new Date(), randomBytes };
  const authority = await createAuthority('protocol suite', options);
  const leaf = await issueCertificate(
    authority,
    { commonName: 'registry', names: ['127.0.0.1', FURTHER_HOST] },
    options,
  );
  const [name = '', password = ''] = USER.split(':');
  const [certificateFile, keyFile, users] = ['tls.crt', 'tls.key', 'htpasswd'].map((file) =>
    join(folder, file),
  );
  if (certificateFile === undefined || keyFile === undefined || users === undefined)
    throw new Error('no paths');
  await writeFile(certificateFile, leaf.certificate);
  await writeFile(keyFile, leaf.key);
  await writeFile(users, `${name}:${await hash(password, 4)}\n`);
  const auth: RegistryConfigInput['auth'] = { anonymous: 'None', basic: { htpasswdFiles: [users] } };
  return { tls: { certificateFile, keyFile }, auth, client: { ca: authority.certificate, user: USER } };
}
