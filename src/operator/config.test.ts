import { expect, test } from 'vitest';

import { ConfigError, loadConfig, type ConfigSources } from './config.ts';

function load(
  env: ConfigSources['env'] = {},
  flags: ConfigSources['flags'] = {},
): ReturnType<typeof loadConfig> {
  return loadConfig({
    env: { POD_NAMESPACE: 'operators', ...env },
    flags,
    version: '1.2.3',
    hostname: 'host',
  });
}

test('has a default for everything in a pod', () => {
  expect(load({ POD_NAME: 'operator-0' })).toEqual({
    version: '1.2.3',
    watchNamespaces: [],
    operandImage: 'ghcr.io/registry-operator/registry-operator:1.2.3',
    clusterDomain: 'cluster.local',
    lease: { namespace: 'operators', name: 'registry-operator' },
    instance: 'operator-0',
    opsListen: { host: '', port: 8080 },
    workers: 4,
    logLevel: 'info',
  });
});

test('reads the environment as the chart writes it', () => {
  const env = {
    WATCH_NAMESPACES: 'team-b, team-a,team-b',
    OPERAND_IMAGE: 'example.org/registry@sha256:00',
    CLUSTER_DOMAIN: 'corp.example',
    CONCURRENCY: '8',
    LOG_LEVEL: 'Debug',
  };

  expect(load(env)).toMatchObject({
    watchNamespaces: ['team-a', 'team-b'],
    operandImage: 'example.org/registry@sha256:00',
    clusterDomain: 'corp.example',
    workers: 8,
    logLevel: 'debug',
  });
});

test('puts a flag before the environment, and treats an empty variable as unset', () => {
  const config = load({ CONCURRENCY: '8', LOG_LEVEL: '' }, { concurrency: '2', 'leader-elect': 'false' });

  expect(config).toMatchObject({ workers: 2, logLevel: 'info', lease: undefined });
});

test('names every setting that is wrong, with its flag and its variable', () => {
  const wrong = {
    POD_NAMESPACE: '',
    WATCH_NAMESPACES: 'Team',
    LEADER_ELECT: 'maybe',
    OPS_LISTEN: 'here',
    CONCURRENCY: '0',
    LOG_LEVEL: 'loud',
  };

  expect(() => load(wrong)).toThrow(ConfigError);
  expect(() => load(wrong)).toThrow(
    [
      '--watch-namespaces (WATCH_NAMESPACES): "Team" is no name of a namespace',
      '--leader-elect (LEADER_ELECT): "maybe" is neither true nor false',
      '--leader-election-namespace (LEADER_ELECTION_NAMESPACE): is needed outside of a pod, or --leader-elect=false',
      '--ops-listen (OPS_LISTEN): "here" is not HOST:PORT',
      '--concurrency (CONCURRENCY): "0" is not 1 to 64',
      '--log-level (LOG_LEVEL): "loud" is not Error, Warn, Info or Debug',
    ].join('\n'),
  );
});
