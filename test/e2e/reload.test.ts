import { connect } from 'node:tls';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Cluster } from '../cluster/cluster.ts';
import { SERVICE_MONITORS } from '../helpers/service-monitors.ts';
import { type Credentials, crane, htpasswdLine, reach, Workspace } from './support/clients.ts';
import { sharedCluster } from './support/environment.ts';
import { apply, createNamespace, eventually, get, registry, waitUntilReady } from './support/objects.ts';

const NAMESPACE = 'reload';
const NAME = 'steady';
const ALICE: Credentials = { user: 'alice', password: 'first' };
const BOB: Credentials = { user: 'bob', password: 'second' };

describe('what changes around a Registry that runs', () => {
  let cluster: Cluster;
  let work: Workspace;
  let podsBefore: string;

  beforeAll(async () => {
    cluster = await sharedCluster();
    work = await Workspace.create();
    // The operator looks for it twice a minute: the other tests are done meanwhile.
    await apply(cluster, NAMESPACE, SERVICE_MONITORS);
    await createNamespace(cluster, NAMESPACE);
    await setUser(ALICE);
    const auth = { basic: { htpasswdSecretRefs: [{ name: 'users' }] } };
    await apply(cluster, NAMESPACE, registry(NAME, { auth }));
    await waitUntilReady(cluster, NAMESPACE, NAME);
    podsBefore = await pods();
  });
  afterAll(async () => {
    await cluster.kubectl(['delete', 'crd', SERVICE_MONITORS.metadata.name]);
    await work[Symbol.asyncDispose]();
  });

  /** UIDs and restarts. */
  function pods(): Promise<string> {
    const output =
      'jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[*].restartCount}{"\\n"}{end}';
    const selector = `registry-operator.dev/registry=${NAME}`;
    return cluster.kubectl(['-n', NAMESPACE, 'get', 'pods', '-l', selector, '-o', output]);
  }

  async function setUser(credentials: Credentials): Promise<void> {
    const stringData = { htpasswd: await htpasswdLine(credentials) };
    await apply(cluster, NAMESPACE, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'users' },
      stringData,
    });
  }

  async function logIn(credentials: Credentials): Promise<string> {
    const at = await reach(cluster, NAMESPACE, NAME);
    return crane(['catalog', at.host], await work.clientOf(at, credentials));
  }

  it('takes over other users without a new Pod', async () => {
    await logIn(ALICE);

    await setUser(BOB);

    await eventually('the new user to be let in', 60, async () => (await logIn(BOB)) !== undefined);
    await expect(logIn(ALICE)).rejects.toThrow(/UNAUTHORIZED/);
    await cluster.kubectl([
      '-n',
      NAMESPACE,
      'wait',
      '--for=condition=ConfigApplied',
      `registry/${NAME}`,
      '--timeout=30s',
    ]);
    expect(await pods()).toBe(podsBefore);
  });

  it('serves another certificate of the same CA without a new Pod', async () => {
    const { host, ca } = await reach(cluster, NAMESPACE, NAME);
    const before = await servedFingerprint(host, ca);

    await cluster.kubectl(['-n', NAMESPACE, 'delete', 'secret', `${NAME}-tls`]);

    const after = await eventually('another certificate to be served', 60, async () => {
      const { status } = await get(cluster, NAMESPACE, 'registry', NAME);
      const wanted = status?.certificate?.sha256Fingerprint;
      return wanted !== before && (await servedFingerprint(host, ca)) === wanted && wanted;
    });
    expect(after).not.toBe(before);
    expect(await pods()).toBe(podsBefore);
  });

  it('is scraped once the cluster has ServiceMonitors', async () => {
    const { spec } = await eventually('the ServiceMonitor', 60, () =>
      get(cluster, NAMESPACE, 'servicemonitor', NAME),
    );

    expect(spec).toMatchObject({ selector: { matchLabels: { 'registry-operator.dev/registry': NAME } } });
    expect(await pods()).toBe(podsBefore);
  });
});

/** SHA-256 of the certificate that a client sees who trusts this CA. */
function servedFingerprint(address: string, ca: string | undefined): Promise<string> {
  const [host, port] = address.split(':');
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), ...(ca === undefined ? {} : { ca }) }, () => {
      resolve(socket.getPeerCertificate().fingerprint256.replaceAll(':', '').toLowerCase());
      socket.end();
    });
    socket.on('error', reject);
  });
}
