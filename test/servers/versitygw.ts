import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { toolPath } from '../helpers/tools.ts';
import { acceptsTcp, answersHttp, freePort, startProcess } from './process.ts';
import type { S3Server } from './s3-server.ts';

export interface VersitygwOptions {
  /** Address to listen on; loopback by default. */
  readonly host?: string;
  /** Buckets that exist from the start. */
  readonly buckets?: readonly string[];
  /** Paths of PEM files; unset is plain HTTP. */
  readonly tls?: { readonly certificate: string; readonly key: string };
}

/** Starts versitygw on a folder of its own: the quick S3 server, which honours every condition. */
export async function startVersitygw({
  host = '127.0.0.1',
  buckets = [],
  tls,
}: VersitygwOptions = {}): Promise<S3Server> {
  const folder = await mkdtemp(join(tmpdir(), 'versitygw-'));
  const data = join(folder, 'data');
  for (const bucket of ['', ...buckets]) await mkdir(join(data, bucket));
  const port = await freePort();
  const endpoint = `${tls === undefined ? 'http' : 'https'}://${host}:${port}`;
  const secure = tls === undefined ? [] : ['--cert', tls.certificate, '--key', tls.key];
  const credentials = { accessKeyId: 'test-access-key', secretAccessKey: 'test-secret-key' };
  const server = await startProcess({
    command: toolPath('versitygw'),
    args: ['--port', `${host}:${port}`, '--quiet', ...secure, 'posix', data],
    env: {
      PATH: process.env['PATH'],
      ROOT_ACCESS_KEY: credentials.accessKeyId,
      ROOT_SECRET_KEY: credentials.secretAccessKey,
    },
    cwd: folder,
    logFile: join(folder, 'versitygw.log'),
    ready: () => (tls === undefined ? answersHttp(endpoint) : acceptsTcp(host, port)),
    timeoutMs: 20_000,
  }).catch(async (error: unknown) => {
    await rm(folder, { recursive: true });
    throw error;
  });
  return {
    endpoint,
    region: 'us-east-1',
    ...credentials,
    async stop() {
      await server.stop();
      await rm(folder, { recursive: true });
    },
  };
}
