import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { toolPath } from '../helpers/tools.ts';
import { answersHttp, freePort, startProcess } from './process.ts';
import type { S3Server } from './s3-server.ts';

/** Starts versitygw on a folder of its own: the quick S3 server, which honours every condition. */
export async function startVersitygw(): Promise<S3Server> {
  const folder = await mkdtemp(join(tmpdir(), 'versitygw-'));
  const data = join(folder, 'data');
  await mkdir(data);
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const credentials = { accessKeyId: 'test-access-key', secretAccessKey: 'test-secret-key' };
  const server = await startProcess({
    command: toolPath('versitygw'),
    args: ['--port', `127.0.0.1:${port}`, '--quiet', 'posix', data],
    env: {
      PATH: process.env['PATH'],
      ROOT_ACCESS_KEY: credentials.accessKeyId,
      ROOT_SECRET_KEY: credentials.secretAccessKey,
    },
    cwd: folder,
    logFile: join(folder, 'versitygw.log'),
    ready: () => answersHttp(endpoint),
    timeoutMs: 20_000,
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
