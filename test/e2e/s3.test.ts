import { type ChildProcess, spawn } from 'node:child_process';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Cluster } from '../cluster/cluster.ts';
import { toolPath } from '../helpers/tools.ts';
import { freePort } from '../servers/process.ts';
import { crane, reach, Workspace } from './support/clients.ts';
import { sharedCluster } from './support/environment.ts';
import { examplesReady, exampleName, USER } from './support/examples.ts';
import { eventually, get, list } from './support/objects.ts';

describe('a Registry on S3 with two replicas', () => {
  let cluster: Cluster;
  let name: string;
  let work: Workspace;
  const forwards: ChildProcess[] = [];

  beforeAll(async () => {
    cluster = await sharedCluster();
    await examplesReady(cluster);
    name = await exampleName('s3.yaml');
    work = await Workspace.create();
  });
  afterAll(async () => {
    for (const forward of forwards) forward.kill();
    await work[Symbol.asyncDispose]();
  });

  /** `localhost:PORT` that leads to one Pod; its certificate holds localhost. */
  async function forwardTo(pod: string): Promise<string> {
    const port = await freePort();
    forwards.push(
      spawn(
        toolPath('kubectl'),
        ['--kubeconfig', cluster.kubeconfig, 'port-forward', `pod/${pod}`, `${port}:5000`],
        { stdio: 'ignore' },
      ),
    );
    return `localhost:${port}`;
  }

  it('serves from one replica what was pushed to the other', async () => {
    const pods = await list(cluster, 'default', 'pods', `registry-operator.dev/registry=${name}`);
    expect(pods).toHaveLength(2);
    const [first, second] = await Promise.all(pods.map((pod) => forwardTo(pod.metadata.name)));
    const { ca } = await reach(cluster, 'default', name);
    const env = async (host: string): Promise<NodeJS.ProcessEnv> => work.environment(ca, host, USER);
    const archive = await work.image('shared:1');

    await eventually('a push to the first replica', 20, async () =>
      crane(['push', archive, `${first}/team/shared:1`], await env(first ?? '')),
    );
    const digests = await eventually('both replicas to answer', 20, async () =>
      Promise.all(
        [first, second].map(async (host) =>
          crane(['digest', `${host}/team/shared:1`], await env(host ?? '')),
        ),
      ),
    );

    expect(digests[1]).toBe(digests[0]);
    expect(
      await crane(['validate', '--remote', `${second}/team/shared:1`], await env(second ?? '')),
    ).toContain('PASS');
  });

  it('is protected from losing both replicas at once', async () => {
    const { spec } = await get(cluster, 'default', 'poddisruptionbudget', name);

    expect(spec).toMatchObject({ selector: { matchLabels: { 'registry-operator.dev/registry': name } } });
  });
});
