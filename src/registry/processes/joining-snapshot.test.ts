import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { restartSettings, type RegistryConfigInput } from '../../api/registry-config.ts';
import { fileSource, readSnapshot } from '../config/snapshot.ts';
import { joiningSnapshot } from './joining-snapshot.ts';

const START: RegistryConfigInput = {
  storage: { driver: 'filesystem', rootDirectory: '/data' },
  http: { listen: '127.0.0.1:5000', processes: 2, warning: 'old', maxHeaderBytes: 8192 },
  auth: { anonymous: 'Pull' },
};

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'registry-'));
  file = join(folder, 'config.json');
});
afterEach(() => rm(folder, { recursive: true }));

async function write(config: RegistryConfigInput): Promise<void> {
  await writeFile(file, JSON.stringify(config));
}

function joining() {
  return joiningSnapshot(fileSource(file), JSON.stringify(START));
}

describe('a process that joins a running server', () => {
  it('takes what can be taken over from the file as it is now', async () => {
    const next: RegistryConfigInput = {
      ...START,
      http: { ...START.http, warning: 'new', hosts: ['r.example.com'] },
      auth: { anonymous: 'PullPush' },
      logging: { level: 'Debug' },
      limits: { maxBlobBytes: 5 },
    };
    await write(next);

    const snapshot = await joining();

    expect(snapshot.config).toEqual((await readSnapshot(fileSource(file))).config);
    expect(snapshot.hash).toBe((await readSnapshot(fileSource(file))).hash);
  });

  it('keeps what only a restart changes', async () => {
    await write({
      ...START,
      storage: { driver: 'filesystem', rootDirectory: '/elsewhere' },
      http: { listen: '127.0.0.1:6000', processes: 3 },
      ops: { listen: '127.0.0.1:6001' },
      uploads: { purgeAfterSeconds: 4000 },
    });

    const { config } = await joining();

    await write(START);
    const start = await readSnapshot(fileSource(file));
    expect(restartSettings(config)).toEqual(restartSettings(start.config));
    expect(config.http.warning).toBeUndefined();
  });

  it('starts like the others did while the file cannot be used', async () => {
    await writeFile(file, 'storage: 1');

    const { config } = await joining();

    expect(config).toMatchObject({ auth: { anonymous: 'Pull' }, http: { warning: 'old' } });
  });
});
