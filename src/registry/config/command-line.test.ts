import { describe, expect, it, test } from 'vitest';

import { RegistryConfig } from '../../api/registry-config.ts';
import { HELP, parseCommandLine, UsageError } from './command-line.ts';

function parse(...args: string[]) {
  return parseCommandLine(args, '/home/ada');
}

function configOf(...args: string[]) {
  const command = parse('serve', ...args);
  return RegistryConfig.parse('config' in command ? command.config : undefined);
}

const LOCAL = ['--data', 'data', '--listen', '127.0.0.1:5000'];
const PUBLIC = ['--data', 'data', '--listen', '0.0.0.0:5000'];

describe('parseCommandLine', () => {
  it('takes a file, relative to the folder it is called in', () => {
    expect(parse('serve', '--config', 'registry.yaml')).toEqual({
      kind: 'serve',
      file: '/home/ada/registry.yaml',
    });
  });

  it('makes a configuration of flags', () => {
    const config = configOf(
      ...PUBLIC,
      '--tls-cert',
      'a.crt',
      '--tls-key',
      '/b.key',
      '--htpasswd',
      'users',
      '--ops',
      ':0',
    );

    expect(config).toMatchObject({
      storage: { driver: 'filesystem', rootDirectory: '/home/ada/data' },
      http: { listen: '0.0.0.0:5000', tls: { certificateFile: '/home/ada/a.crt', keyFile: '/b.key' } },
      ops: { listen: ':0' },
      auth: { anonymous: 'None', basic: { htpasswdFiles: ['/home/ada/users'] }, anonymousDelete: false },
    });
  });

  test.each(['127.0.0.1:5000', 'localhost:0', '[::1]:5000'])(
    'is open on %s, which nobody else reaches',
    (listen) => {
      expect(configOf('--data', 'd', '--listen', listen).auth.anonymous).toBe('PullPush');
    },
  );

  it('keeps the operations port to this host', () => {
    expect(configOf(...LOCAL).ops.listen).toBe('127.0.0.1:9090');
  });

  it('lets anonymous clients delete only when asked to', () => {
    expect(configOf(...LOCAL, '--allow-anonymous-delete').auth.anonymousDelete).toBe(true);
  });

  it('deletes, refuses sparse content and has no external URL unless told otherwise', () => {
    const standard = configOf(...LOCAL);
    const other = configOf(
      ...LOCAL,
      '--disable-delete',
      '--allow-sparse',
      '--external-url',
      'https://r.example.com/registry',
    );

    expect([standard.delete.enabled, standard.manifests.allowSparse]).toEqual([true, false]);
    expect(standard.http.externalURL).toBeUndefined();
    expect([other.delete.enabled, other.manifests.allowSparse]).toEqual([false, true]);
    expect(other.http.externalURL).toBe('https://r.example.com/registry');
  });

  test.each([
    [[], 'a command is missing'],
    [['run'], 'unknown command "run"'],
    [['serve', 'x'], 'unexpected argument "x"'],
    [['serve'], '--config FILE or --data DIR is needed'],
    [['serve', '--data', 'd'], '--listen HOST:PORT is needed'],
    [['serve', '--data', 'd', '--listen', '5000'], '--listen: "5000" is not HOST:PORT'],
    [['serve', '--data', 'd', '--listen', 'a:70000'], '--listen: "a:70000" is not HOST:PORT'],
    [['serve', ...LOCAL, '--ops', 'x'], '--ops: "x" is not HOST:PORT'],
    [['serve', ...LOCAL, '--tls-cert', 'x'], '--tls-cert needs --tls-key'],
    [['serve', ...LOCAL, '--tls-key', 'x'], '--tls-key needs --tls-cert'],
    [['serve', ...LOCAL, '--anonymous', 'All'], '--anonymous must be None, Pull or PullPush'],
    [['serve', ...LOCAL, '--anonymous', 'None'], '--anonymous None needs --htpasswd'],
    [['serve', ...PUBLIC], 'add --htpasswd FILE, or say so with --anonymous PullPush'],
    [['serve', '--config', 'x', ...LOCAL], '--data cannot be used together with --config'],
    [['serve', ...LOCAL, '--external-url', 'r.example.com'], '--external-url must be an http or https URL'],
    [['serve', ...LOCAL, '--external-url', 'ftp://r.example.com'], 'must be an http or https URL'],
    [['serve', ...LOCAL, '--external-url', 'https://a:b@r.example.com'], 'without user'],
    [
      ['serve', ...LOCAL, '--allow-anonymous-delete', '--disable-delete'],
      '--allow-anonymous-delete cannot be used together with --disable-delete',
    ],
    [
      ['serve', '--config', 'x', '--disable-delete'],
      '--disable-delete cannot be used together with --config',
    ],
    [['serve', '--verbose'], "Unknown option '--verbose'"],
  ])('refuses %j', (args, message) => {
    expect(() => parse(...args)).toThrow(UsageError);
    expect(() => parse(...args)).toThrow(message);
  });

  it('shows help and version before anything else', () => {
    expect(parse('serve', '--help')).toEqual({ kind: 'help' });
    expect(parse('--version')).toEqual({ kind: 'version' });
    expect(HELP).toContain('registry serve --config FILE');
  });
});
