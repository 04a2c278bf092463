import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';

import { scratchFolder } from '../helpers/scratch-folder.ts';
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
  /** False: closes every connection after one answer, as it does unless it is told otherwise. True unless set. */
  readonly keepAlive?: boolean;
}

/** Starts versitygw on a folder of its own: the quick S3 server, which honours every condition. */
export async function startVersitygw({
  host = '127.0.0.1',
  buckets = [],
  tls,
  keepAlive = true,
}: VersitygwOptions = {}): Promise<S3Server> {
  const folder = await newFolder();
  const data = join(folder, 'data');
  for (const bucket of ['', ...buckets]) await mkdir(join(data, bucket));
  const port = await freePort();
  const endpoint = `${tls === undefined ? 'http' : 'https'}://${host}:${port}`;
  const flags = [
    ...(tls === undefined ? [] : ['--cert', tls.certificate, '--key', tls.key]),
    ...(keepAlive ? ['--keep-alive'] : []),
  ];
  const credentials = { accessKeyId: 'test-access-key', secretAccessKey: 'test-secret-key' };
  const server = await startProcess({
    command: toolPath('versitygw'),
    args: ['--port', `${host}:${port}`, '--quiet', ...flags, 'posix', data],
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

/** Objects have extended attributes, which files in memory have only since Linux 6.6. */
function newFolder(): Promise<string> {
  const [major = 0, minor = 0] = release()
    .split('.')
    .map((part) => Number.parseInt(part, 10));
  const prefix = 'versitygw-';
  return major > 6 || (major === 6 && minor >= 6) ? scratchFolder(prefix) : mkdtemp(join(tmpdir(), prefix));
}
