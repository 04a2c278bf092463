import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { runToEnd } from '../../servers/registry.ts';
import { useOwnServers } from './own-servers.ts';

const servers = useOwnServers();

describe('the command line', () => {
  it('says that a port is taken, and what to do', async () => {
    const registry = await servers.start();
    const listen = new URL(registry.url).host;

    const second = await runToEnd([
      'serve',
      '--data',
      servers.folder,
      '--listen',
      listen,
      '--ops',
      '127.0.0.1:0',
    ]);

    expect(second.code).toBe(1);
    expect(second.stderr).toBe(
      `registry: cannot listen on ${listen}: the port is taken. Stop the program that uses it, or choose another port\n`,
    );
  });

  it('lists what is wrong with a file', async () => {
    const file = join(servers.folder, 'bad.yaml');
    await writeFile(file, 'storage: {driver: memory}\nauth:\n  anonymus: Pull\n');

    const { code, stderr } = await runToEnd(['serve', '--config', file]);

    expect(code).toBe(1);
    expect(stderr).toBe(`registry: ${file} cannot be used:\n  auth.anonymus (line 3): unknown field\n`);
  });

  it('says which line of a htpasswd file it cannot use', async () => {
    const file = join(servers.folder, 'users');
    await writeFile(file, 'ada:plain\n');

    const args = [
      'serve',
      '--data',
      servers.folder,
      '--listen',
      '127.0.0.1:0',
      '--ops',
      '127.0.0.1:0',
      '--htpasswd',
      file,
    ];
    const { code, stderr } = await runToEnd(args);

    expect(code).toBe(1);
    expect(stderr).toContain(`${file}:1: is not a bcrypt hash`);
  });

  it('refuses a wrong command with code 2', async () => {
    const { code, stderr } = await runToEnd(['serve', '--data', servers.folder, '--listen', '0.0.0.0:0']);

    expect(code).toBe(2);
    expect(stderr).toContain('--anonymous PullPush');
    expect(stderr).toContain('See registry --help.');
  });

  it('shows help and version', async () => {
    const [help, version] = [await runToEnd(['--help']), await runToEnd(['--version'])];

    expect([help.code, version.code]).toEqual([0, 0]);
    expect(help.stdout).toContain('registry serve --config FILE');
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
