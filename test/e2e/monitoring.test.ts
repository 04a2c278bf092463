import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Cluster } from '../cluster/cluster.ts';
import { toolPath } from '../helpers/tools.ts';
import { freePort, type RunningProcess, startProcess } from '../servers/process.ts';
import { crane, reach, Workspace } from './support/clients.ts';
import { OPERATOR, sharedCluster } from './support/environment.ts';
import { examplesReady, exampleName } from './support/examples.ts';
import { eventually, list } from './support/objects.ts';

interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

describe('Prometheus', () => {
  let folder: string;
  let prometheus: RunningProcess;
  let port: number;

  beforeAll(async () => {
    const cluster = await sharedCluster();
    await examplesReady(cluster);
    await pushSomething(cluster);
    folder = await mkdtemp(join(tmpdir(), 'prometheus-'));
    port = await freePort();
    await writeFile(join(folder, 'prometheus.yml'), JSON.stringify(await configuration(cluster)));
    prometheus = await startProcess({
      command: toolPath('prometheus'),
      args: [
        `--config.file=${join(folder, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      logFile: join(folder, 'log'),
      ready: async () => (await fetch(`http://127.0.0.1:${port}/-/ready`)).ok,
      timeoutMs: 20_000,
    });
  });
  afterAll(async () => {
    await prometheus?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function query(expression: string): Promise<Sample[]> {
    const answer = await fetch(
      `http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expression)}`,
    );
    return ((await answer.json()) as { data: { result: Sample[] } }).data.result;
  }

  it('scrapes operator and registry', async () => {
    const up = await eventually('the registry and both operators to be up', 30, async () => {
      const samples = await query('up == 1');
      return samples.length >= 3 && samples;
    });

    expect(new Set(up.map(({ metric }) => metric['job']))).toEqual(new Set(['operator', 'registry']));
  });

  it.each([
    ['registry', 'registry_http_requests_total'],
    ['registry', 'registry_storage_action_seconds_count'],
    ['registry', 'registry_tls_certificate_not_after_seconds'],
    ['registry', 'process_resident_memory_bytes'],
    ['operator', 'controller_runtime_reconcile_total'],
    ['operator', 'workqueue_depth'],
    ['operator', 'rest_client_requests_total'],
  ])('finds of the %s: %s', async (job, metric) => {
    const samples = await eventually(metric, 30, async () => {
      const found = await query(`${metric}{job="${job}"}`);
      return found.length > 0 && found;
    });

    expect(Number(samples[0]?.value[1])).not.toBeNaN();
  });
});

async function pushSomething(cluster: Cluster): Promise<void> {
  await using work = await Workspace.create();
  const at = await reach(cluster, 'default', await exampleName('quickstart.yaml'));
  await crane(['push', await work.image('monitored:1'), `${at.host}/monitored:1`], await work.clientOf(at));
}

/** Scrapes what the Service of a release and the Pods of a Registry stand for, as discovery would find them. */
async function configuration(cluster: Cluster): Promise<object> {
  const name = await exampleName('quickstart.yaml');
  const pods = await list(cluster, 'default', 'pods', `registry-operator.dev/registry=${name}`);
  const service = `kubernetes.io/service-name=${OPERATOR}-metrics`;
  const [slice] = await list(cluster, OPERATOR, 'endpointslices', service);
  return {
    global: { scrape_interval: '1s' },
    scrape_configs: [
      {
        job_name: 'registry',
        static_configs: [{ targets: pods.map(({ status }) => `${status?.podIP}:9090`) }],
      },
      {
        job_name: 'operator',
        static_configs: [
          { targets: (slice?.endpoints ?? []).map(({ addresses }) => `${addresses[0]}:8080`) },
        ],
      },
    ],
  };
}
