import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { hash } from 'bcryptjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import packageJson from '../../../package.json' with { type: 'json' };
import { build } from '../../../scripts/build.ts';
import { freePort, type RunningProcess, startProcess } from '../../servers/process.ts';
import { type S3Server, writeCredentials } from '../../servers/s3-server.ts';
import { startVersitygw } from '../../servers/versitygw.ts';
import { digestOf, pullBlob, pushBlob } from './blobs.ts';

/** Outside of the checkout: nothing but the bundles themselves can be found from there. */
let folder: string;
let s3: S3Server;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bundle-'));
  await build(folder);
  s3 = await startVersitygw({ buckets: ['bundle'] });
});

afterAll(async () => {
  await s3?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Settings of each driver by its name in the configuration. */
const DRIVERS: Readonly<Record<string, () => Promise<object>>> = {
  memory: async () => ({}),
  filesystem: async () => ({ rootDirectory: await mkdtemp(join(folder, 'data-')) }),
  s3: async () => {
    const { endpoint, region } = s3;
    await writeCredentials(s3, folder);
    return { bucket: 'bundle', endpoint, region, credentialsDirectory: folder };
  },
};

async function startRegistry(config: object, ops: number): Promise<RunningProcess> {
  const file = join(folder, 'config.json');
  await writeFile(file, JSON.stringify(config));
  return startProcess({
    command: process.execPath,
    args: [join(folder, 'registry.js'), 'serve', '--config', file],
    logFile: join(folder, 'registry.log'),
    ready: async () => (await fetch(`http://127.0.0.1:${ops}/readyz`)).ok,
    timeoutMs: 20_000,
  });
}

describe('the bundled registry', () => {
  it.each(Object.keys(DRIVERS))('checks a password, stores and serves with the %s driver', async (driver) => {
    const users = join(folder, 'htpasswd');
    await writeFile(users, `alice:${await hash('correct horse', 4)}\n`);
    const [port, ops] = [await freePort(), await freePort()];
    const config = {
      storage: { driver, ...(await DRIVERS[driver]?.()) },
      http: { listen: `127.0.0.1:${port}` },
      ops: { listen: `127.0.0.1:${ops}` },
      auth: { anonymous: 'None', basic: { htpasswdFiles: [users] } },
    };
    const server = await startRegistry(config, ops);
    const url = `http://127.0.0.1:${port}/v2/bundle`;
    const alice = { url, authorization: `Basic ${btoa('alice:correct horse')}` };
    const bytes = Buffer.from(driver.repeat(100_000));

    try {
      await pushBlob(alice, bytes);

      expect(await pullBlob(alice, digestOf(bytes))).toBe(digestOf(bytes));
      expect((await fetch(`${url}/blobs/${digestOf(bytes)}`)).status).toBe(401);
    } finally {
      await server.stop();
    }
  });
});

describe('the bundled programs', () => {
  it.each(['registry', 'operator'])('include %s, which knows its version', async (name) => {
    const { stdout } = await promisify(execFile)(process.execPath, [join(folder, `${name}.js`), '--version']);

    expect(stdout.trim()).toBe(packageJson.version);
  });
});
