import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { expect, it } from 'vitest';

import type { RegistryConfigInput } from '../../../src/api/registry-config.ts';
import type { TestRegistry } from '../../servers/registry.ts';
import { sha256 } from './content.ts';
import { useOwnServers } from './own-servers.ts';
import { metric, untilRunning } from './slow-client.ts';

const MIB = 1 << 20;
/** More than the buffers of two sockets hold. */
const BLOB = randomBytes(16 * MIB);
const PATH = `/v2/a/blobs/${sha256(BLOB)}`;

const servers = useOwnServers({ logging: { requests: 'None' } });

/** A server that has the blob. */
async function start(config: Partial<RegistryConfigInput>): Promise<TestRegistry> {
  const registry = await servers.start(config);
  const pushed = await registry.call(`/v2/a/blobs/uploads/?digest=${sha256(BLOB)}`, {
    method: 'POST',
    body: BLOB,
  });
  expect(pushed.status).toBe(201);
  return registry;
}

/** A client that asks and takes nothing of the answers. */
async function stall(registry: TestRegistry, ...paths: string[]): Promise<Socket> {
  const socket = connect(Number(new URL(registry.url).port), '127.0.0.1');
  socket.on('error', () => undefined);
  servers.atEnd(() => socket.destroy());
  await once(socket, 'connect');
  socket.pause();
  socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''));
  return socket;
}

it('lets a client pull while 100 others have asked for a blob and take nothing of it', async () => {
  const registry = await start({ http: { bufferBytes: MIB } });
  await Promise.all(Array.from({ length: 100 }, () => stall(registry, PATH)));
  await untilRunning(registry, 'blob', 100);

  const answer = await registry.call(PATH);

  expect(answer.body.equals(BLOB)).toBe(true);
}, 60_000);

it('gives one connection one place, however many requests come on it at once', async () => {
  const registry = await start({ limits: { read: { maxRunning: 2 } } });
  await stall(registry, ...Array.from({ length: 16 }, () => PATH));
  await untilRunning(registry, 'blob', 1);

  expect((await registry.call(PATH)).status).toBe(200);
  await untilRunning(registry, 'blob', 1);
});

it('cuts clients off that take nothing of an answer, wherever its bytes come from', async () => {
  const registry = await start({ limits: { bodyIdleSeconds: 1 } });
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [],
    annotations: { padding: 'x'.repeat(4 * MIB - 200) },
  });
  const pushed = await registry.call('/v2/a/manifests/long', {
    method: 'PUT',
    body: manifest,
    headers: { 'content-type': 'application/vnd.oci.image.index.v1+json' },
  });
  expect(pushed.status).toBe(201);
  await stall(registry, PATH);
  await stall(registry, ...Array.from({ length: 8 }, () => '/v2/a/manifests/long'));
  await untilRunning(registry, 'blob', 1);
  await untilRunning(registry, 'manifest', 1);

  await untilRunning(registry, 'blob', 0);
  await untilRunning(registry, 'manifest', 0);
  const counted = 'registry_http_requests_total{handler="blob",method="GET",code="499"}';
  expect(await metric(registry, counted)).toBe(1);
});
