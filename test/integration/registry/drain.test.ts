import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { connect } from 'node:tls';

import { describe, expect, it, vi } from 'vitest';

import type { RegistryConfigInput } from '../../../src/api/registry-config.ts';
import { createAuthority } from '../../../src/operator/pki/authority.ts';
import { issueCertificate } from '../../../src/operator/pki/certificate.ts';
import type { TestRegistry } from '../../servers/registry.ts';
import { sha256 } from './content.ts';
import { useOwnServers } from './own-servers.ts';
import { SlowClient, untilQueued, untilRunning } from './slow-client.ts';

const WAIT = { timeout: 15_000, interval: 20 };
/** Who comes right after another one is let in for a while yet. */
const REFUSED = { timeout: 10_000, interval: 500 };
const START = '/v2/a/blobs/uploads/';

const servers = useOwnServers();

async function open(registry: TestRegistry): Promise<SlowClient> {
  const client = await SlowClient.open(registry);
  servers.atEnd(() => client.leave());
  return client;
}

/** Tells the server to stop, and waits until it has begun to. */
async function terminate(registry: TestRegistry): Promise<void> {
  process.kill(registry.process.pid, 'SIGTERM');
  await vi.waitFor(() => expect(registry.process.log()).toContain('"stopping"'), WAIT);
}

async function untilStopped(registry: TestRegistry): Promise<void> {
  await vi.waitFor(() => expect(registry.process.log()).toContain('"stopped"'), WAIT);
}

function get(registry: TestRegistry, target: string, agent: Agent): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    httpRequest(new URL(target, registry.url), { agent }, resolve).on('error', reject).end();
  });
}

describe('a server that stops', () => {
  it('is not ready at once, refuses connections soon, and finishes uploads and downloads', async () => {
    const registry = await servers.start();
    const blob = randomBytes(24 << 20);
    const target = `/v2/a/blobs/${sha256(blob)}`;
    await registry.call(`${START}?digest=${sha256(blob)}`, { method: 'POST', body: blob });
    const started = await registry.call(START, { method: 'POST' });
    const upload = await open(registry);
    upload.request(`PATCH ${started.headers.location}`, { 'content-length': 10 });
    upload.send('first');
    const download = await get(registry, target, new Agent());
    const idle = await open(registry);
    await untilRunning(registry, 'blob_upload_chunk', 1);

    await terminate(registry);

    const ready = await fetch(`${registry.opsUrl}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([503, 'draining\n']);
    const verbose = await fetch(`${registry.opsUrl}/readyz?verbose`);
    expect(await verbose.json()).toMatchObject({ status: 'draining' });
    await vi.waitFor(() => expect(registry.call('/v2/')).rejects.toThrow('ECONNREFUSED'), REFUSED);
    // Then those without a request are not left open any longer.
    await idle.end();
    upload.send('later');
    expect(await upload.answer()).toMatch(/^HTTP\/1\.1 202 /);
    expect(upload.received).toMatch(/\r\nrange: 0-9\r\n/i);
    expect(upload.received).toMatch(/\r\nconnection: close\r\n/i);
    expect((await buffer(download)).equals(blob)).toBe(true);
    await untilStopped(registry);
    expect(registry.process.log()).not.toContain('cut off');
  });

  it('still serves requests that wait for their turn', async () => {
    const registry = await servers.start({ limits: { write: { maxRunning: 1 } } });
    const running = await open(registry);
    running.request(`POST ${START}?digest=${sha256('slow')}`, { 'content-length': 4 });
    await untilRunning(registry, 'blob_upload', 1);
    const waiting = await open(registry);
    waiting.request(`POST ${START}?digest=${sha256('next')}`, { 'content-length': 4 });
    waiting.send('next');
    await untilQueued(registry, 'write', 1);

    await terminate(registry);
    running.send('slow');

    for (const client of [running, waiting]) {
      expect(await client.answer()).toMatch(/^HTTP\/1\.1 201 /);
      expect(client.received).toMatch(/\r\nconnection: close\r\n/i);
    }
    await untilStopped(registry);
  });

  it('closes connections on which nothing happens, and answers on one that was just used', async () => {
    const registry = await servers.start();
    const [idle, busy] = [await open(registry), await open(registry)];
    idle.request('GET /v2/');
    await idle.answer();
    await new Promise((resolve) => setTimeout(resolve, 1200));
    busy.request('GET /v2/');
    await busy.answer();

    await terminate(registry);
    busy.request('GET /v2/a/tags/list');

    await busy.end();
    expect(busy.received).toMatch(/HTTP\/1\.1 200 [^]*HTTP\/1\.1 404 [^]*\r\nconnection: close\r\n/i);
    await idle.end();
    await untilStopped(registry);
  });

  it('answers a request of which the beginning has come, and closes its connection', async () => {
    const registry = await servers.start();
    const client = await open(registry);
    client.send('GET /v2/ HTTP/1.1\r\nHost: x\r\n');

    await terminate(registry);
    client.send('\r\n');

    await client.end();
    expect(client.received).toMatch(/^HTTP\/1\.1 200 [^]*\r\nconnection: close\r\n/i);
    await untilStopped(registry);
  });

  it('does so over TLS, too, and closes connections that never begin to speak it', async () => {
    const options = { now: new Date(), randomBytes };
    const authority = await createAuthority('test', options);
    const leaf = await issueCertificate(authority, { commonName: 'registry', names: ['127.0.0.1'] }, options);
    const files = {
      certificateFile: join(servers.folder, 'tls.crt'),
      keyFile: join(servers.folder, 'tls.key'),
    };
    await writeFile(files.certificateFile, leaf.certificate);
    await writeFile(files.keyFile, leaf.key);
    const registry = await servers.start({ http: { tls: files } });
    const secured = await Promise.all(
      Array.from({ length: 2 }, async () => {
        const socket = connect({
          port: Number(new URL(registry.url).port),
          host: '127.0.0.1',
          ca: authority.certificate,
        });
        servers.atEnd(() => socket.destroy());
        await once(socket, 'secureConnect');
        return { socket, received: text(socket) };
      }),
    );
    const [idle, busy] = secured;
    const silent = connectTcp(Number(new URL(registry.url).port), '127.0.0.1');
    servers.atEnd(() => silent.destroy());
    await once(silent, 'connect');
    const closed = once(silent, 'close');
    busy?.socket.write(
      `POST ${START}?digest=${sha256('slow')} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n`,
    );
    await untilRunning(registry, 'blob_upload', 1);

    await terminate(registry);

    expect(await idle?.received).toBe('');
    await closed;
    busy?.socket.write('slow');
    expect(await busy?.received).toMatch(/^HTTP\/1\.1 201 [^]*\r\nconnection: close\r\n/i);
    await untilStopped(registry);
    expect(registry.process.log()).not.toContain('cut off');
  });

  it('answers every request that was sent before its connection was closed', async () => {
    const registry = await servers.start();
    const agent = new Agent({ keepAlive: true, maxSockets: 20 });
    servers.atEnd(() => agent.destroy());
    const failures: unknown[] = [];
    let answered = 0;
    const stopped = new AbortController();
    /** One request after the other on connections that are kept, as a client in the middle of a push. */
    const work = async (): Promise<void> => {
      while (!stopped.signal.aborted) {
        const request = httpRequest(new URL('/v2/', registry.url), { agent }).end();
        try {
          const [response] = (await once(request, 'response')) as [IncomingMessage];
          await buffer(response);
          answered += 1;
        } catch (error) {
          // A client that connects must be ready to be refused.
          if (request.reusedSocket) failures.push(error);
        }
      }
    };
    const workers = Array.from({ length: 20 }, work);
    await vi.waitFor(() => expect(answered).toBeGreaterThan(200), WAIT);

    await terminate(registry);
    await untilStopped(registry);
    stopped.abort();
    await Promise.all(workers);

    expect(failures).toEqual([]);
  });

  it('cuts off what takes longer than it may, and keeps the upload for the next process', async () => {
    const registry = await servers.start({ http: { drainSeconds: 1 } });
    const blob = Buffer.alloc(24 << 20, 7);
    await registry.call(`${START}?digest=${sha256(blob)}`, { method: 'POST', body: blob });
    const download = await get(registry, `/v2/a/blobs/${sha256(blob)}`, new Agent());
    const started = await registry.call(START, { method: 'POST' });
    const upload = await open(registry);
    upload.request(`PATCH ${started.headers.location}`, { 'content-length': 1000 });
    upload.send('what has come');
    await untilRunning(registry, 'blob_upload_chunk', 1);

    await terminate(registry);
    await untilStopped(registry);
    await registry.process.stop();

    expect(registry.process.log()).toContain('cut off');
    await expect(buffer(download)).rejects.toThrow('aborted');
    const next = await servers.start();
    const status = await next.call(started.headers.location ?? '');
    expect([status.status, status.headers['range']]).toEqual([204, '0-12']);
    const put = await next.call(`${started.headers.location}?digest=${sha256('what has come back')}`, {
      method: 'PUT',
      body: ' back',
    });
    expect(put.status).toBe(201);
  });

  it('keeps an upload between two of its requests for the next process', async () => {
    const registry = await servers.start();
    const started = await registry.call(START, { method: 'POST' });
    const location = started.headers.location ?? '';
    await registry.call(location, { method: 'PATCH', body: 'first ' });

    await registry.process.stop();
    const next = await servers.start();

    const status = await next.call(location);
    expect([status.status, status.headers['range']]).toEqual([204, '0-5']);
    const put = await next.call(`${location}?digest=${sha256('first second')}`, {
      method: 'PUT',
      body: 'second',
    });
    expect(put.status).toBe(201);
  });

  it('without any time cuts off requests, and tells of no others', async () => {
    const registry = await servers.start({ http: { drainSeconds: 0 } });
    await open(registry);
    await registry.process.stop();
    expect(registry.process.log()).not.toContain('cut off');

    const next = await servers.start({ http: { drainSeconds: 0 } });
    const upload = await open(next);
    upload.request(`POST ${START}?digest=${sha256('slow')}`, { 'content-length': 4 });
    await untilRunning(next, 'blob_upload', 1);
    await next.process.stop();
    expect(next.process.log()).toContain('cut off');
  });

  it('ends at once at a second signal', async () => {
    const registry = await servers.start();
    const upload = await open(registry);
    upload.request(`POST ${START}?digest=${sha256('slow')}`, { 'content-length': 4 });
    await untilRunning(registry, 'blob_upload', 1);
    await terminate(registry);

    process.kill(registry.process.pid, 'SIGTERM');

    await upload.end();
    await registry.process.stop();
    expect(registry.process.log()).not.toContain('"stopped"');
  });
});

describe('SIGHUP', () => {
  it('makes the server look at its configuration, and does not end it', async () => {
    const registry = await servers.start();
    const client = await open(registry);
    client.request(`POST ${START}?digest=${sha256('slow')}`, { 'content-length': 4 });
    await untilRunning(registry, 'blob_upload', 1);
    const config = JSON.parse(await readFile(registry.configFile, 'utf8')) as RegistryConfigInput;
    await writeFile(registry.configFile, JSON.stringify({ ...config, auth: { anonymous: 'Pull' } }));

    process.kill(registry.process.pid, 'SIGHUP');

    await vi.waitFor(async () => {
      expect((await registry.call(START, { method: 'POST' })).status).toBe(403);
    }, WAIT);
    client.send('slow');
    expect(await client.answer()).toMatch(/^HTTP\/1\.1 201 /);
    await terminate(registry);
    process.kill(registry.process.pid, 'SIGHUP');
    const closed = once(client.socket, 'close');
    await untilStopped(registry);
    await closed;
  });
});
