import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { hashSync } from 'bcryptjs';
import { describe, expect, it, vi } from 'vitest';

import type { RegistryConfigInput } from '../../../src/api/registry-config.ts';
import type { Answer, TestRegistry } from '../../servers/registry.ts';
import { sha256 } from './content.ts';
import { useOwnServers } from './own-servers.ts';
import { RawConnection } from './raw-http.ts';
import { reconfigure } from './reconfigure.ts';
import { metric, SlowClient, untilQueued, untilRunning } from './slow-client.ts';

const RELOAD = { timeout: 15_000, interval: 50 };
const START = '/v2/a/blobs/uploads/';
/** Not there: a read that costs little. */
const READ = `/v2/a/blobs/${sha256('nothing')}`;
const SLOW_BYTES = 'a slow body';
const SLOW_PUSH = `POST ${START}?digest=${sha256(SLOW_BYTES)}`;

const servers = useOwnServers({ storage: { driver: 'memory' } });

function start(
  limits: RegistryConfigInput['limits'],
  config: Partial<RegistryConfigInput> = {},
): Promise<TestRegistry> {
  return servers.start({ limits, ...config });
}

/** A push that has been let in and does not end before {@link finish}. */
async function holdWrite(registry: TestRegistry, headers: Record<string, string> = {}): Promise<SlowClient> {
  const client = await SlowClient.open(registry);
  client.request(SLOW_PUSH, { 'content-length': SLOW_BYTES.length, expect: '100-continue', ...headers });
  await vi.waitFor(() => expect(client.received).toContain('100 Continue'), RELOAD);
  return client;
}

async function finish(client: SlowClient): Promise<void> {
  client.send(SLOW_BYTES);
  await vi.waitFor(() => expect(client.received).toContain('201 Created'), RELOAD);
  client.leave();
}

function expectRefused(answer: Answer, [status, code]: [number, string], message: RegExp): void {
  expect(answer.status).toBe(status);
  expect(answer.json()).toEqual({ errors: [{ code, message: expect.stringMatching(message) as string }] });
  expect(Number(answer.headers['retry-after'])).toBeGreaterThanOrEqual(1);
}

/** Headers of a request that a proxy has taken from this address. */
function from(address: string): Record<string, string> {
  return { 'x-forwarded-for': address };
}

it('a client that sends many wrong passwords keeps no other from logging in', async () => {
  const file = join(servers.folder, 'users');
  await writeFile(file, `ada:${hashSync('right', 8)}\n`);
  const registry = await start({}, { auth: { basic: { htpasswdFiles: [file] } } });
  const port = Number(new URL(registry.url).port);
  const flood = await Promise.all(
    Array.from({ length: 90 }, () => RawConnection.open(port, '127.0.0.1', '127.0.0.2')),
  );
  servers.atEnd(() => flood.forEach((connection) => connection.destroy()));
  for (const [index, connection] of flood.entries()) {
    connection.write(
      `GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ${btoa(`ada:wrong${index}`)}\r\n\r\n`,
    );
  }
  await vi.waitFor(() => expect(flood.some(({ pending }) => pending.length > 0)).toBe(true), RELOAD);

  expect((await registry.call('/v2/', { user: 'ada:right' })).status).toBe(200);

  const refusals = flood.map(({ pending }) => pending.toString()).filter((text) => text.includes(' 429 '));
  expect(refusals.join('')).toMatch(/^retry-after: 3\r$/im);
  const refused = 'registry_http_refused_requests_total{reason="logins"}';
  expect(await metric(registry, refused)).toBeGreaterThan(0);
});

describe('writes beyond limits.write', () => {
  it('wait for their turn, and are refused with 503 when too many wait, while others go on', async () => {
    const registry = await start({ write: { maxRunning: 1, maxQueued: 1 } });
    const running = await holdWrite(registry);
    const queued = registry.call(START, { method: 'POST' });
    await untilQueued(registry, 'write', 1);

    const refused = await registry.call(START, { method: 'POST' });

    expectRefused(refused, [503, 'UNAVAILABLE'], /^1 requests to write run and 1 wait \(limits\.write\)$/);
    expect((await registry.call('/v2/')).status).toBe(200);
    expect((await registry.call(READ)).status).toBe(404);
    expect((await registry.call('/v2/a/what', { method: 'POST' })).status).toBe(404);
    await finish(running);
    expect((await queued).status).toBe(202);
    await untilQueued(registry, 'write', 0);
    expect((await registry.call(START, { method: 'POST' })).status).toBe(202);
    expect(await metric(registry, 'registry_http_refused_requests_total{reason="queue_full"}')).toBe(1);
  });

  it('are refused with 503 when their turn does not come in time', async () => {
    const registry = await start({ write: { maxRunning: 1, maxWaitSeconds: 1 } });
    const running = await holdWrite(registry);

    const refused = await registry.call(START, { method: 'POST', body: 'never read' });

    expectRefused(
      refused,
      [503, 'UNAVAILABLE'],
      /^no turn to write within 1 s \(limits\.write\.maxWaitSeconds\)$/,
    );
    await finish(running);
    expect((await registry.call(START, { method: 'POST' })).status).toBe(202);
    expect(await metric(registry, 'registry_http_refused_requests_total{reason="queue_timeout"}')).toBe(1);
  });

  it('leave the queue when their client goes away', async () => {
    const registry = await start({ write: { maxRunning: 1, maxQueued: 1 } });
    const running = await holdWrite(registry);
    const gone = await SlowClient.open(registry);
    gone.request(`POST ${START}`, { 'content-length': 0 });
    await untilQueued(registry, 'write', 1);

    gone.leave();

    await untilQueued(registry, 'write', 0);
    const next = registry.call(START, { method: 'POST' });
    await untilQueued(registry, 'write', 1);
    await finish(running);
    expect((await next).status).toBe(202);
  });

  it('are not asked for their bodies before their turn', async () => {
    const registry = await start({ write: { maxRunning: 1 } });
    const running = await holdWrite(registry);
    const waiting = await SlowClient.open(registry);
    waiting.request(SLOW_PUSH, { 'content-length': SLOW_BYTES.length, expect: '100-continue' });
    await untilQueued(registry, 'write', 1);
    expect(waiting.received).toBe('');

    await finish(running);

    await vi.waitFor(() => expect(waiting.received).toMatch(/^HTTP\/1\.1 100 Continue/), RELOAD);
    await finish(waiting);
  });

  it('give back their turn however they end', async () => {
    const registry = await start({ write: { maxRunning: 1, maxQueued: 0 } });
    const ends: ((client: SlowClient) => void)[] = [
      (client) => client.leave(),
      (client) => client.socket.resetAndDestroy(),
      (client) => client.socket.end(),
      (client) => client.send('a wrong body'),
      (client) => client.send(SLOW_BYTES),
    ];

    for (const end of ends) {
      const client = await holdWrite(registry);
      end(client);
      await untilRunning(registry, 'blob_upload', 0);
      client.leave();
    }

    const calls: [string, string][] = [
      ['PATCH', `${START}00000000-0000-4000-8000-000000000000`],
      ['PUT', '/v2/a/manifests/latest'],
      ['DELETE', READ],
      ['POST', START],
    ];
    for (const [method, target] of calls) {
      expect((await registry.call(target, { method, body: 'x' })).status).not.toBe(503);
      expect((await registry.call(target, { method, body: 'x' })).status).not.toBe(503);
    }
  });

  it('take no places from others while their clients are not let in', async () => {
    await writeFile(join(servers.folder, 'users'), `ada:${hashSync('right', 4)}\n`);
    const registry = await start(
      { write: { maxRunning: 1, maxQueued: 0 } },
      { auth: { basic: { htpasswdFiles: [join(servers.folder, 'users')] } } },
    );
    const strangers = await Promise.all(Array.from({ length: 20 }, () => SlowClient.open(registry)));
    for (const client of strangers) client.request(SLOW_PUSH, { 'content-length': SLOW_BYTES.length });
    for (const client of strangers) expect(await client.answer()).toContain('401 Unauthorized');

    expect((await registry.call(START, { method: 'POST', user: 'ada:right' })).status).toBe(202);
    const authorization = `Basic ${Buffer.from('ada:right').toString('base64')}`;
    const running = await holdWrite(registry, { authorization });
    expect((await registry.call(START, { method: 'POST', user: 'ada:right' })).status).toBe(503);
    expect((await registry.call(START, { method: 'POST' })).status).toBe(401);
    await finish(running);
    for (const client of strangers) client.leave();
  });

  it('follow a changed configuration from the next request on', async () => {
    const registry = await start({ write: { maxRunning: 1, maxQueued: 5 } });
    const running = await holdWrite(registry);
    const queued = registry.call(START, { method: 'POST' });
    await untilQueued(registry, 'write', 1);

    const limits = { write: { maxRunning: 2, maxQueued: 0 } };
    await reconfigure(registry, (config) => ({ ...config, limits }));

    // The one that waits comes first.
    expect((await registry.call(START, { method: 'POST' })).status).toBe(503);
    expect((await queued).status).toBe(202);
    const second = await holdWrite(registry);
    expect((await registry.call(START, { method: 'POST' })).status).toBe(503);
    await finish(running);
    await finish(second);
  });
});

describe('reads beyond limits.read', () => {
  it('wait, and get their turn when a download ends or is given up', async () => {
    const registry = await start({ read: { maxRunning: 1, maxQueued: 1 } });
    const blob = Buffer.alloc(32 << 20, 7);
    const target = `/v2/a/blobs/${sha256(blob)}`;
    await registry.call(`${START}?digest=${sha256(blob)}`, { method: 'POST', body: blob });
    for (const leave of [true, false]) {
      const reader = await SlowClient.open(registry);
      reader.request(`GET ${target}`);
      await reader.answer();
      reader.socket.pause();
      const queued = registry.call(target, { method: 'HEAD' });
      await untilQueued(registry, 'read', 1);
      expectRefused(await registry.call(READ), [503, 'UNAVAILABLE'], /^1 requests to read run and 1 wait/);
      expect((await registry.call(START, { method: 'POST' })).status).toBe(202);

      if (leave) reader.leave();
      else reader.socket.resume();

      expect((await queued).status).toBe(200);
      reader.leave();
    }
    for (let count = 0; count < 5; count += 1) {
      expect((await registry.call(READ)).status).toBe(404);
      const etag = { 'if-none-match': `"${sha256(blob)}"` };
      expect((await registry.call(target, { headers: etag })).status).toBe(304);
    }
  });
});

describe('one client beyond limits.perClient', () => {
  const proxies = { trustedProxies: ['127.0.0.0/8'] };

  it('is refused with 429 when it does too much at once, and nobody else is', async () => {
    const registry = await start({ perClient: { maxRunning: 2 } }, { http: proxies });
    const mine = [await holdWrite(registry, from('192.0.2.1')), await holdWrite(registry, from('192.0.2.1'))];

    const refused = await registry.call(READ, { headers: from('192.0.2.1') });

    expectRefused(refused, [429, 'TOOMANYREQUESTS'], /2 requests at once \(limits\.perClient\.maxRunning\)$/);
    expect((await registry.call(READ, { headers: from('192.0.2.2') })).status).toBe(404);
    expect((await registry.call('/v2/', { headers: from('192.0.2.1') })).status).toBe(200);
    for (const client of mine) await finish(client);
    await untilRunning(registry, 'blob_upload', 0);
    expect((await registry.call(READ, { headers: from('192.0.2.1') })).status).toBe(404);
    expect(await metric(registry, 'registry_http_refused_requests_total{reason="client_running"}')).toBe(1);
  });

  it('counts requests that wait, too', async () => {
    const registry = await start({ write: { maxRunning: 1 }, perClient: { maxRunning: 2 } });
    const running = await holdWrite(registry);
    const queued = registry.call(START, { method: 'POST' });
    await untilQueued(registry, 'write', 1);

    expect((await registry.call(START, { method: 'POST' })).status).toBe(429);

    await finish(running);
    expect((await queued).status).toBe(202);
  });

  it('is refused with 429 when it comes too often, until the time that it is told', async () => {
    const limits = { perClient: { requestsPerSecond: 0.5, burst: 3 } };
    const registry = await start(limits, { http: proxies });
    const ask = (address: string) => registry.call(READ, { headers: from(address) });

    const answers = [];
    for (let count = 0; count < 4; count += 1) answers.push(await ask('2001:db8::1'));

    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 429]);
    const [, , , refused] = answers;
    if (!refused) throw new Error('no answer');
    expectRefused(refused, [429, 'TOOMANYREQUESTS'], /0\.5 requests per second \(limits\.perClient\./);
    // The rest of a /64 is the same client, its neighbour is not.
    expect((await ask('2001:db8::ffff:2')).status).toBe(429);
    expect((await ask('2001:db8:0:1::1')).status).toBe(404);
    const wait = Number(refused.headers['retry-after']);
    expect(wait).toBeLessThanOrEqual(2);
    await new Promise((resolve) => setTimeout(resolve, wait * 1000));
    expect((await ask('2001:db8::1')).status).toBe(404);
    await reconfigure(registry, (config) => ({ ...config, limits: { perClient: {} } }));
    for (let count = 0; count < 6; count += 1) expect((await ask('2001:db8::1')).status).toBe(404);
  });

  it('is the user, wherever the requests come from', async () => {
    const users = ['ada', 'bob'].map((name) => `${name}:${hashSync('right', 4)}\n`);
    await writeFile(join(servers.folder, 'users'), users.join(''));
    const registry = await start(
      { perClient: { requestsPerSecond: 0.01, burst: 1 } },
      {
        http: proxies,
        auth: { basic: { htpasswdFiles: [join(servers.folder, 'users')] }, anonymous: 'Pull' },
      },
    );
    const statusOf = async (user: string | undefined, address: string): Promise<number> => {
      const as = user === undefined ? {} : { user: `${user}:right` };
      return (await registry.call(READ, { headers: from(address), ...as })).status;
    };

    expect(await statusOf('ada', '192.0.2.1')).toBe(404);
    expect(await statusOf('ada', '192.0.2.2')).toBe(429);
    expect(await statusOf('bob', '192.0.2.1')).toBe(404);
    expect(await statusOf(undefined, '192.0.2.1')).toBe(404);
    expect(await statusOf(undefined, '192.0.2.1')).toBe(429);
  });
});
