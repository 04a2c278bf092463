import { expect, it, vi } from 'vitest';

import type { TestRegistry } from '../../servers/registry.ts';
import { useOwnServers } from './own-servers.ts';
import { metric, SlowClient, untilRunning } from './slow-client.ts';

/** Manifests that are held in memory as a whole, for clients that take their time. */

const MIB = 1 << 20;
const CLIENTS = 40;
const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
const WAIT = { timeout: 15_000, interval: 50 };
const RUNNING = 'registry_http_in_flight_requests{handler="manifest"}';
const REFUSED = 'registry_http_refused_requests_total{reason="body_memory"}';

/** 2 MiB for long bodies of requests, and as much for those of answers. */
const servers = useOwnServers({
  http: { bufferBytes: 8 * MIB },
  limits: { maxManifestBytes: 16 * MIB },
  logging: { requests: 'None' },
});

function indexOfSize(bytes: number): string {
  const index = { schemaVersion: 2, mediaType: INDEX_TYPE, manifests: [], annotations: { padding: '' } };
  return JSON.stringify({
    ...index,
    annotations: { padding: 'x'.repeat(bytes - JSON.stringify(index).length) },
  });
}

async function push(registry: TestRegistry, tag: string, body: string): Promise<number> {
  const headers = { 'content-type': INDEX_TYPE };
  return (await registry.call(`/v2/a/manifests/${tag}`, { method: 'PUT', body, headers })).status;
}

async function openAll(registry: TestRegistry): Promise<SlowClient[]> {
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => SlowClient.open(registry)));
  servers.atEnd(() => clients.forEach((client) => client.leave()));
  return clients;
}

it('takes no more stalled pushes of long manifests than there is memory for, and all short ones', async () => {
  const registry = await servers.start();
  const long = indexOfSize(MIB);
  const clients = await openAll(registry);
  for (const client of clients) {
    client.request('PUT /v2/a/manifests/stalled', { 'content-type': INDEX_TYPE, 'content-length': MIB });
    client.send(long.slice(0, -1));
  }

  await vi.waitFor(async () => expect(await metric(registry, REFUSED)).toBe(CLIENTS - 2), WAIT);

  const refused = clients.filter(({ received }) => received.startsWith('HTTP/1.1 503 '));
  expect(refused.length).toBe(CLIENTS - 2);
  expect(refused[0]?.received).toMatch(/\r\nretry-after: [1-9].*"code":"UNAVAILABLE".*http\.bufferBytes/is);
  expect(await push(registry, 'short', indexOfSize(50_000))).toBe(201);
  expect(await push(registry, 'long', long)).toBe(503);
  for (const client of clients) client.leave();
  await untilRunning(registry, 'manifest', 0);
  expect(await push(registry, 'long', long)).toBe(201);
});

it('holds no more long manifests for clients that take nothing than there is memory for', async () => {
  const registry = await servers.start();
  // More than the system takes for a client that reads nothing.
  const [long, short] = [indexOfSize(16 * MIB), indexOfSize(50_000)];
  expect([await push(registry, 'long', long), await push(registry, 'short', short)]).toEqual([201, 201]);
  const clients = await openAll(registry);
  for (const client of clients) {
    client.socket.pause();
    client.request('GET /v2/a/manifests/long');
  }

  await vi.waitFor(async () => expect(await metric(registry, REFUSED)).toBe(CLIENTS - 1), WAIT);
  await vi.waitFor(async () => expect(await metric(registry, RUNNING)).toBe(1), WAIT);

  expect((await registry.call('/v2/a/manifests/short')).body.toString()).toBe(short);
  expect((await registry.call('/v2/a/manifests/long', { method: 'HEAD' })).status).toBe(200);
  for (const client of clients) client.leave();
  await untilRunning(registry, 'manifest', 0);
  expect((await registry.call('/v2/a/manifests/long')).body.toString()).toBe(long);
});
