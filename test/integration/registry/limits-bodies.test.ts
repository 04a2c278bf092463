import { randomBytes } from 'node:crypto';

import { describe, expect, it, vi } from 'vitest';

import type { TestRegistry } from '../../servers/registry.ts';
import { sha256 } from './content.ts';
import { useOwnServers } from './own-servers.ts';
import { reconfigure } from './reconfigure.ts';
import { metric, SlowClient, untilRunning } from './slow-client.ts';

const MIB = 1 << 20;
const START = '/v2/a/blobs/uploads/';
const WAIT = { timeout: 15_000, interval: 50 };
/** Files that a server may open late and keep, and connections of the test itself. */
const SPARE_FILES = 20;

const servers = useOwnServers();

async function openAll(registry: TestRegistry, count: number): Promise<SlowClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => SlowClient.open(registry)));
  servers.atEnd(() => clients.forEach((client) => client.leave()));
  return clients;
}

/** @returns the path of a new session */
async function startUpload(registry: TestRegistry): Promise<string> {
  return (await registry.call(START, { method: 'POST' })).headers.location ?? '';
}

describe('a body that comes too slowly', () => {
  it('is answered with 408 when nothing comes any more, and the upload keeps what has come', async () => {
    const registry = await servers.start({ limits: { bodyIdleSeconds: 1 } });
    const location = await startUpload(registry);
    const [client] = await openAll(registry, 1);
    client?.request(`PATCH ${location}`, { 'content-length': 1000 });
    client?.send('what has come');

    await client?.end();

    expect(client?.received).toMatch(/^HTTP\/1\.1 408 /);
    expect(client?.received).toMatch(/\r\nconnection: close\r\n/i);
    expect(client?.received).toContain('"code":"SIZE_INVALID"');
    expect(client?.received).toContain('no byte of the body came for 1 s (limits.bodyIdleSeconds)');
    const status = await registry.call(location);
    expect([status.status, status.headers['range']]).toEqual([204, '0-12']);
    const put = await registry.call(`${location}?digest=${sha256('what has come back')}`, {
      method: 'PUT',
      body: ' back',
    });
    expect(put.status).toBe(201);
    expect(await metric(registry, 'registry_http_refused_requests_total{reason="slow_body"}')).toBe(1);
  });

  it('is answered with 408 when it comes in drops', async () => {
    const registry = await servers.start({ limits: { bodyIdleSeconds: 1, minBodyBytesPerSecond: 100 } });
    const targets = [
      `PATCH ${await startUpload(registry)}`,
      `PUT ${await startUpload(registry)}?digest=${sha256('x')}`,
      `POST ${START}?digest=${sha256('x')}`,
      'PUT /v2/a/manifests/latest',
    ];
    const clients = await openAll(registry, targets.length * 2);
    for (const [index, client] of clients.entries()) {
      const length = index < targets.length ? { 'content-length': 1000 } : { 'transfer-encoding': 'chunked' };
      client.request(targets[index % targets.length] ?? '', length);
    }
    const drops = setInterval(() => {
      for (const [index, client] of clients.entries())
        client.send(index < targets.length ? 'x' : '1\r\nx\r\n');
    }, 100);

    try {
      for (const client of clients) await client.end();
    } finally {
      clearInterval(drops);
    }

    // Two requests to one session: the second finds it busy.
    const slow = clients.filter(({ received }) => received.startsWith('HTTP/1.1 408 '));
    expect(slow.length).toBeGreaterThanOrEqual(targets.length);
    for (const { received } of slow) {
      expect(received).toContain('less than 100 bytes per second (limits.minBodyBytesPerSecond)');
    }
  });

  it('passes when it keeps the average, and at any pace without a lowest rate', async () => {
    const registry = await servers.start({ limits: { bodyIdleSeconds: 1, minBodyBytesPerSecond: 10 } });
    const body = 'x'.repeat(60);
    const push = async (): Promise<string> => {
      const [client] = await openAll(registry, 1);
      client?.request(`POST ${START}?digest=${sha256(body)}`, { 'content-length': body.length });
      for (let sent = 0; sent < body.length; sent += 10) {
        client?.send(body.slice(sent, sent + 10));
        await new Promise((resolve) => setTimeout(resolve, 400));
      }
      return (await client?.answer()) ?? '';
    };

    expect(await push()).toContain('201 Created');
  });

  it('is waited for as long as the changed configuration says', async () => {
    const registry = await servers.start();
    const limits = { bodyIdleSeconds: 1, headerSeconds: 1 };
    await reconfigure(registry, (config) => ({ ...config, limits }));
    const [body, head] = await openAll(registry, 2);

    body?.request(`POST ${START}?digest=${sha256('x')}`, { 'content-length': 1 });
    head?.send('GET /v2/ HT');

    await body?.end();
    await head?.end();
    expect(body?.received).toContain(' 408 ');
    expect(head?.received).toContain(' 408 ');
  });
});

describe('the head of a request', () => {
  it('may take so long', async () => {
    const registry = await servers.start({ limits: { headerSeconds: 1 } });
    const clients = await openAll(registry, 3);
    const [, slow, second] = clients;
    slow?.send('GET /v2/ HTTP/1.1\r\nhost: ');
    second?.request('GET /v2/');
    await second?.answer();
    second?.send('GET /v2/ HTTP');

    for (const client of clients) await client.end();

    const refusal =
      /HTTP\/1\.1 408 Request Timeout\r\nConnection: close\r\n.*longer than limits\.headerSeconds: 1 s/s;
    expect(slow?.received).toMatch(refusal);
    expect(second?.received).toMatch(/^HTTP\/1\.1 200 /);
    expect(second?.received).toMatch(refusal);
    expect(await metric(registry, 'registry_http_refused_requests_total{reason="slow_head"}')).toBe(2);
    expect(registry.process.log().match(/"status":408,"remoteAddress":"127\.0\.0\.1"/g)).toHaveLength(2);
  });

  it('may be so long', async () => {
    const registry = await servers.start({ http: { maxHeaderBytes: 4096 } });
    const long = await registry.call('/v2/', { headers: { 'x-long': 'x'.repeat(5000) } });
    const short = await registry.call('/v2/', { headers: { 'x-long': 'x'.repeat(3000) } });

    const [client] = await openAll(registry, 1);
    client?.request('GET /v2/');
    await client?.answer();
    client?.request('GET /v2/', { 'x-long': 'x'.repeat(5000) });
    await client?.end();

    expect([long.status, short.status]).toEqual([431, 200]);
    expect(await metric(registry, 'registry_http_refused_requests_total{reason="long_head"}')).toBe(2);
    const counted = 'registry_http_requests_total{handler="unknown",method="other",code="431"}';
    expect(await metric(registry, counted)).toBe(2);
    expect(long.body.toString()).toContain('longer than http.maxHeaderBytes: 4096 bytes');
    expect(client?.received).toMatch(/^HTTP\/1\.1 200 .*HTTP\/1\.1 431 /s);
  });
});

describe('hundreds of slow connections', () => {
  it('do not stop others, and give back what they have taken', async () => {
    const registry = await servers.start({
      limits: { headerSeconds: 2, bodyIdleSeconds: 2, minBodyBytesPerSecond: 1000 },
    });
    const files = await metric(registry, 'process_open_fds');
    const heads = await openAll(registry, 300);
    const bodies = await openAll(registry, 150);
    for (const client of bodies) {
      client.request(`POST ${START}?digest=${sha256('x')}`, { 'content-length': 100_000 });
    }
    const drops = setInterval(() => {
      for (const client of heads) client.send('x');
      for (const client of bodies) client.send('x');
    }, 200);

    try {
      const blob = randomBytes(2 * MIB);
      const target = `${START}?digest=${sha256(blob)}`;
      expect((await registry.call(target, { method: 'POST', body: blob })).status).toBe(201);
      const pulled = await registry.call(`/v2/a/blobs/${sha256(blob)}`);
      expect(pulled.body.equals(blob)).toBe(true);
      for (const client of [...heads, ...bodies]) await client.end();
    } finally {
      clearInterval(drops);
    }

    expect(bodies.every(({ received }) => received.startsWith('HTTP/1.1 408 '))).toBe(true);
    await untilRunning(registry, 'blob_upload', 0);
    await vi.waitFor(
      async () => expect(await metric(registry, 'process_open_fds')).toBeLessThan(files + SPARE_FILES),
      WAIT,
    );
    expect(await metric(registry, 'process_resident_memory_bytes')).toBeLessThan(400 * MIB);
  });

  it('that read and write slowly leave a fast client what it needs', async () => {
    const registry = await servers.start();
    const large = randomBytes(16 * MIB);
    const target = `/v2/a/blobs/${sha256(large)}`;
    await registry.call(`${START}?digest=${sha256(large)}`, { method: 'POST', body: large });
    const readers = await openAll(registry, 200);
    const writers = await openAll(registry, 50);
    for (const client of readers) {
      client.socket.pause();
      client.request(`GET ${target}`);
    }
    for (const client of writers) {
      client.request(`POST ${START}?digest=${sha256(large)}`, { 'content-length': large.length });
      client.send(large.subarray(0, MIB));
    }
    await untilRunning(registry, 'blob', 200);
    await untilRunning(registry, 'blob_upload', 50);

    const started = performance.now();
    for (let round = 0; round < 5; round += 1) {
      const blob = randomBytes(4 * MIB);
      const push = await registry.call(`${START}?digest=${sha256(blob)}`, { method: 'POST', body: blob });
      expect(push.status).toBe(201);
      const pull = await registry.call(`/v2/a/blobs/${sha256(blob)}`);
      expect(pull.body.equals(blob)).toBe(true);
    }
    expect(performance.now() - started).toBeLessThan(20_000);
    expect(await metric(registry, 'process_resident_memory_bytes')).toBeLessThan(500 * MIB);

    for (const client of [...readers, ...writers]) client.leave();
    await untilRunning(registry, 'blob', 0);
    await untilRunning(registry, 'blob_upload', 0);
  });
});
