import { mkdir, rm, writeFile } from 'node:fs/promises';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Cluster } from '../cluster/cluster.ts';
import { command } from '../cluster/command.ts';
import { toolPath } from '../helpers/tools.ts';
import { startDocker } from '../servers/docker.ts';
import { crane, reach, type Reach, Workspace } from './support/clients.ts';
import { sharedCluster } from './support/environment.ts';
import { examplesReady, exampleName, USER } from './support/examples.ts';
import { eventually, get, list } from './support/objects.ts';

describe('a Registry with users', () => {
  let cluster: Cluster;
  let name: string;
  let at: Reach;
  let work: Workspace;

  beforeAll(async () => {
    cluster = await sharedCluster();
    await examplesReady(cluster);
    name = await exampleName('basic-auth.yaml');
    at = await reach(cluster, 'default', name);
    work = await Workspace.create();
  });
  afterAll(() => work[Symbol.asyncDispose]());

  it('takes a push of crane over verified TLS, and gives it to everybody', async () => {
    const archive = await work.image(`${at.host}/team/crane:1`);

    await crane(['push', archive, `${at.host}/team/crane:1`], await work.clientOf(at, USER));
    const anonymous = await crane(['digest', `${at.host}/team/crane:1`], await work.clientOf(at));

    expect(anonymous.trim()).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(
      await crane(['validate', '--remote', `${at.host}/team/crane:1`], await work.clientOf(at)),
    ).toContain('PASS');
  });

  it('refuses a client that does not trust the published CA', async () => {
    const stranger = await work.environment(undefined, at.host);

    await expect(crane(['digest', `${at.host}/team/crane:1`], stranger)).rejects.toThrow(/certificate/);
  });

  it('refuses a wrong password, and a push without one', async () => {
    const archive = await work.image(`${at.host}/team/refused:1`);
    const wrong = await work.clientOf(at, { ...USER, password: 'wrong' });

    await expect(crane(['push', archive, `${at.host}/team/refused:1`], wrong)).rejects.toThrow(
      /unauthorized/i,
    );
    await expect(
      crane(['push', archive, `${at.host}/team/refused:1`], await work.clientOf(at)),
    ).rejects.toThrow(/unauthorized/i);
    await expect(crane(['digest', `${at.host}/team/crane:1`], wrong)).rejects.toThrow(/unauthorized/i);
    expect(await crane(['catalog', at.host], await work.clientOf(at, USER))).not.toContain('refused');
  });

  it('takes a push of docker, which pulls it back', async () => {
    await using docker = await startDocker();
    const run = (args: readonly string[], input?: string): Promise<string> =>
      command(
        toolPath('docker'),
        ['--config', work.path('docker'), '-H', docker.host, ...args],
        input === undefined ? {} : { input },
      );
    const trusted = `/etc/docker/certs.d/${at.host}`;
    await mkdir(trusted, { recursive: true });
    try {
      await writeFile(`${trusted}/ca.crt`, at.ca ?? '');
      await run(['load', '-i', await work.image(`${at.host}/team/docker:1`)]);
      await expect(run(['push', `${at.host}/team/docker:1`])).rejects.toThrow(
        /no basic auth credentials|unauthorized/i,
      );
      await run(['login', at.host, '-u', USER.user, '--password-stdin'], USER.password);
      await run(['push', `${at.host}/team/docker:1`]);
      await run(['rmi', `${at.host}/team/docker:1`]);
      await run(['pull', `${at.host}/team/docker:1`]);
      await run(['rmi', `${at.host}/team/docker:1`]);
    } finally {
      await rm(trusted, { recursive: true, force: true });
    }
    expect(await crane(['ls', `${at.host}/team/docker`], await work.clientOf(at))).toBe('1\n');
  });

  it('takes a push of skopeo and of oras', async () => {
    const certificates = await work.certDirectory(at.ca ?? '');
    const archive = await work.image('skopeo:1');
    const login = `${USER.user}:${USER.password}`;

    await command(toolPath('skopeo'), [
      '--insecure-policy',
      'copy',
      `--dest-cert-dir=${certificates}`,
      `--dest-creds=${login}`,
      `docker-archive:${archive}`,
      `docker://${at.host}/team/skopeo:1`,
    ]);
    await writeFile(work.path('note.txt'), 'hello');
    await command(
      toolPath('oras'),
      ['push', '--disable-path-validation', `${at.host}/team/oras:1`, `${work.path('note.txt')}:text/plain`],
      { env: await work.clientOf(at, USER) },
    );

    const catalog = await crane(['catalog', at.host], await work.clientOf(at, USER));
    expect(catalog.split('\n')).toEqual(expect.arrayContaining(['team/oras', 'team/skopeo']));
  });

  it('runs what was pushed on the node, which finds the registry by its name in the cluster', async () => {
    const reference = `${at.endpoint}/team/node:1`;
    await crane(
      ['push', await work.image(reference), `${at.host}/team/node:1`],
      await work.clientOf(at, USER),
    );
    await cluster.addRegistryHost(at.endpoint, {
      server: `https://${at.host}`,
      ...(at.ca === undefined ? {} : { ca: at.ca }),
    });

    await cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(podOf(reference)) });
    const done = await eventually('the Pod to complete', 60, async () => {
      const { status } = await get(cluster, 'default', 'pod', 'from-registry');
      return status?.phase === 'Succeeded' && status;
    });

    expect(done.phase).toBe('Succeeded');
    const logs = await cluster.kubectl(['logs', '-l', `registry-operator.dev/registry=${name}`, '--tail=-1']);
    const asked = logs.split('\n').filter((line) => line.includes('/v2/team/node/manifests/'));
    expect(asked.some((line) => line.includes(`"ns":"${at.endpoint}"`))).toBe(true);
  });

  it('still has its content after its Pod is gone', async () => {
    const [pod] = await list(cluster, 'default', 'pods', `registry-operator.dev/registry=${name}`);
    const before = await crane(['digest', `${at.host}/team/crane:1`], await work.clientOf(at));

    await cluster.kubectl(['delete', 'pod', pod?.metadata.name ?? '']);
    const after = await eventually('the content to be served again', 60, async () =>
      crane(['digest', `${at.host}/team/crane:1`], await work.clientOf(at)),
    );

    expect(after).toBe(before);
  });
});

function podOf(image: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'from-registry' },
    spec: {
      restartPolicy: 'Never',
      containers: [{ name: 'app', image, imagePullPolicy: 'Always', args: ['write', '/tmp/done', 'done'] }],
    },
  };
}
