import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { scratchFolder } from '../helpers/scratch-folder.ts';
import { startVersitygw } from '../servers/versitygw.ts';
import { Trial } from './trial.ts';

export type StorageName = 'filesystem' | 's3';
export const STORAGE_NAMES: readonly StorageName[] = ['filesystem', 's3'];

const MIB = 1 << 20;

/**
 * Runs a trial on a storage of its own, and removes everything.
 *
 * @param seed decides what the clients do and when the server dies
 */
export async function withTrial<T>(
  name: StorageName,
  seed: number,
  use: (trial: Trial) => Promise<T>,
): Promise<T> {
  const folder = await scratchFolder('crash-');
  try {
    return name === 's3' ? await onBucket(folder, seed, use) : await onFolder(folder, seed, use);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function onFolder<T>(folder: string, seed: number, use: (trial: Trial) => Promise<T>): Promise<T> {
  const storage = { driver: 'filesystem', rootDirectory: join(folder, 'data') } as const;
  return run(new Trial({ storage, folder, seed, maxBytes: 4 * MIB }), use);
}

async function onBucket<T>(folder: string, seed: number, use: (trial: Trial) => Promise<T>): Promise<T> {
  const bucket = 'crash';
  const server = await startVersitygw({ buckets: [bucket] });
  try {
    const { endpoint, region, accessKeyId, secretAccessKey } = server;
    const credentialsDirectory = join(folder, 'credentials');
    await mkdir(credentialsDirectory);
    await writeFile(join(credentialsDirectory, 'AWS_ACCESS_KEY_ID'), accessKeyId);
    await writeFile(join(credentialsDirectory, 'AWS_SECRET_ACCESS_KEY'), secretAccessKey);
    const storage = { driver: 's3', bucket, endpoint, region, credentialsDirectory } as const;
    // Some blobs have several parts.
    return await run(new Trial({ storage, folder, seed, maxBytes: 12 * MIB }), use);
  } finally {
    await server.stop();
  }
}

async function run<T>(trial: Trial, use: (trial: Trial) => Promise<T>): Promise<T> {
  try {
    return await use(trial);
  } finally {
    await trial.close();
  }
}
