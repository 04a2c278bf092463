import { describe, expect, it, test } from 'vitest';

import { ConfigInvalid, parseConfig } from './load.ts';

function parse(text: string) {
  return parseConfig(new TextEncoder().encode(text), '/etc/registry.yaml');
}

function problems(text: string): readonly string[] {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof ConfigInvalid) return error.problems;
    throw error;
  }
  return [];
}

describe('parseConfig', () => {
  it('fills in the defaults', () => {
    const config = parse('storage: {driver: memory}\nauth: {anonymous: Pull}\n');

    expect(config).toMatchObject({
      storage: { driver: 'memory' },
      http: { listen: '0.0.0.0:5000', hosts: [], trustedProxies: [], drainSeconds: 25, processes: 1 },
      ops: { listen: '0.0.0.0:9090' },
      auth: { anonymous: 'Pull', anonymousDelete: false },
      logging: { level: 'Info', requests: 'All' },
      limits: { read: { maxRunning: 1024 }, perClient: { burst: 100 }, maxManifestBytes: 4 << 20 },
      delete: { enabled: true },
      manifests: { allowSparse: false },
      uploads: { purgeAfterSeconds: 604_800 },
    });
  });

  it('reads JSON as well', () => {
    const config = parse('{\n\t"storage": {"driver": "memory"},\n\t"auth": {"anonymous": "Pull"}\n}');

    expect(config.auth.anonymous).toBe('Pull');
  });

  it('freezes what it returns', () => {
    const config = parse('storage: {driver: memory}\nauth: {anonymous: Pull}\n');

    expect(() => Object.assign(config.http.hosts, ['x'])).toThrow(TypeError);
  });

  it('lists every problem with field and line', () => {
    const text = [
      'storage:',
      '  driver: filesystem',
      'http:',
      '  lsten: x',
      '  drainSeconds: -1',
      'auth:',
      '  anonymous: All',
      '  basic:',
      '    htpasswdFiles:',
      '      - /etc/users',
      '      - relative',
    ].join('\n');

    expect(problems(text)).toEqual([
      'storage.rootDirectory (line 1): is required',
      'http.drainSeconds (line 5): Too small: expected number to be >=0',
      'http.lsten (line 4): unknown field',
      'auth.anonymous (line 7): Invalid option: expected one of "None"|"Pull"|"PullPush"',
      'auth.basic.htpasswdFiles[1] (line 11): must be an absolute path',
    ]);
  });

  test.each([
    ['storage: {driver: memory}', 'auth: is required'],
    ['', 'the configuration: Invalid input: expected object, received null'],
    ['storage: {driver: tape}\nauth: {anonymous: Pull}', 'storage.driver (line 1): Invalid'],
    ...['r.example.com', 'ftp://r.example.com', 'https://a:b@r.example.com', 'https://r.example.com/?a'].map(
      (url) => [
        `storage: {driver: memory}\nauth: {anonymous: Pull}\nhttp: {externalURL: "${url}"}`,
        'http.externalURL (line 3): must be an http or https URL without user, query and fragment',
      ],
    ),
    ['storage: {driver: memory}\nauth: {}', 'auth (line 2): nobody could use this registry'],
    ...[2, 'auto'].map((processes) => [
      `storage: {driver: memory}\nauth: {anonymous: Pull}\nhttp: {processes: ${processes}}`,
      'http.processes (line 3): must be 1 with the memory driver, which no process shares',
    ]),
    ...(
      [
        [0, 'Too small: expected number to be >=1'],
        [65, 'Too big: expected number to be <=64'],
        ['all', 'must be a whole number from 1 to 64, or auto'],
      ] as const
    ).map(([processes, problem]) => [
      `storage: {driver: memory}\nauth: {anonymous: Pull}\nhttp: {processes: ${processes}}`,
      `http.processes (line 3): ${problem}`,
    ]),
    ['storage: {driver: memory}\nstorage: {driver: memory}', 'line 2: Map keys must be unique'],
    ['{"storage": ', 'line 1: '],
  ])('refuses %j', (text, problem) => {
    expect(problems(text).join('\n')).toContain(problem);
  });

  it('names the file', () => {
    expect(() => parse('auth: 1')).toThrow('/etc/registry.yaml cannot be used:');
  });
});
