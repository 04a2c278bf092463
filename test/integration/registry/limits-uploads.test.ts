import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { hashSync } from 'bcryptjs';
import { describe, expect, it } from 'vitest';

import type { Answer, TestRegistry } from '../../servers/registry.ts';
import { sha256 } from './content.ts';
import { useOwnServers } from './own-servers.ts';
import { metric, SlowClient, untilRunning } from './slow-client.ts';

const START = '/v2/a/blobs/uploads/';
const MAX = 3;

const servers = useOwnServers({
  http: { trustedProxies: ['127.0.0.1'] },
  limits: { perClient: { maxOpenUploads: MAX } },
});

function startUpload(registry: TestRegistry, address = '192.0.2.1'): Promise<Answer> {
  return registry.call(START, { method: 'POST', headers: { 'x-forwarded-for': address } });
}

/** @returns the paths of as many sessions as one client may have */
async function startAll(registry: TestRegistry): Promise<string[]> {
  const answers = await Promise.all(Array.from({ length: MAX }, () => startUpload(registry)));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 202));
  return answers.map(({ headers }) => headers.location ?? '');
}

async function expectFull(registry: TestRegistry): Promise<void> {
  expect((await startUpload(registry)).status).toBe(429);
}

/** Exactly so many sessions can be started again. */
async function expectFree(registry: TestRegistry, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) expect((await startUpload(registry)).status).toBe(202);
  await expectFull(registry);
}

/** Failures that end no session, whatever they look like. */
async function expectStillFull(registry: TestRegistry, location: string): Promise<void> {
  const elsewhere = location.replace('/v2/a/', '/v2/b/');
  const empty = await registry.call(`/v2/b/blobs/uploads/?digest=${sha256('')}`, { method: 'POST' });
  expect(empty.status).toBe(201);
  for (const [method, target] of [
    ['PUT', `${location}?digest=bad`],
    ['PUT', location],
    ['PUT', `${elsewhere}?digest=${sha256('')}`],
    ['GET', elsewhere],
    ['DELETE', elsewhere],
  ] as const) {
    await registry.call(target, { method });
    await expectFull(registry);
  }
  expect((await registry.call(location)).status).toBe(204);
}

describe('open uploads of one client', () => {
  it('are bounded also for requests whose password is checked at once', async () => {
    const file = join(servers.folder, 'users');
    await writeFile(file, `ada:${hashSync('pw', 10)}\n`);
    const registry = await servers.start({ auth: { basic: { htpasswdFiles: [file] } } });

    const answers = await Promise.all(
      Array.from({ length: 30 }, () => registry.call(START, { method: 'POST', user: 'ada:pw' })),
    );

    expect(answers.filter(({ status }) => status === 202)).toHaveLength(MAX);
  });

  it('are bounded, and those of others go on', async () => {
    const registry = await servers.start();
    const answers = await Promise.all(Array.from({ length: MAX + 5 }, () => startUpload(registry)));

    const refused = answers.filter(({ status }) => status === 429);
    expect(refused).toHaveLength(5);
    expect(refused[0]?.json()).toEqual({
      errors: [
        {
          code: 'TOOMANYREQUESTS',
          message: 'a client may have 3 uploads open at once (limits.perClient.maxOpenUploads)',
        },
      ],
    });
    expect(refused[0]?.headers['retry-after']).toBe('10');
    expect((await startUpload(registry, '192.0.2.2')).status).toBe(202);
    expect(await metric(registry, 'registry_http_refused_requests_total{reason="client_uploads"}')).toBe(5);
  });

  it('count no more when they are completed, cancelled or gone', async () => {
    const registry = await servers.start();
    const [completed = '', cancelled = '', wrong = ''] = await startAll(registry);
    await expectFull(registry);

    const put = await registry.call(`${completed}?digest=${sha256('x')}`, { method: 'PUT', body: 'x' });
    expect(put.status).toBe(201);
    await expectFree(registry, 1);
    expect((await registry.call(cancelled, { method: 'DELETE' })).status).toBe(204);
    expect((await registry.call(cancelled, { method: 'DELETE' })).status).toBe(404);
    await expectFree(registry, 1);
    await expectStillFull(registry, wrong);
    const lie = await registry.call(`${wrong}?digest=${sha256('y')}`, { method: 'PUT', body: 'x' });
    expect(lie.status).toBe(400);
    expect((await registry.call(wrong)).status).toBe(404);
    await expectFree(registry, 1);
    expect((await registry.call(completed)).status).toBe(404);
    await expectFull(registry);
  });

  it('still count when a request to them has failed or was given up', async () => {
    const registry = await servers.start();
    const [location = ''] = await startAll(registry);
    const client = await SlowClient.open(registry);
    client.request(`PATCH ${location}`, { 'content-length': 1000 });
    client.send('some bytes');
    await untilRunning(registry, 'blob_upload_chunk', 1);
    client.leave();
    await untilRunning(registry, 'blob_upload_chunk', 0);
    const outOfOrder = { 'content-range': '500-500' };
    const failed = await registry.call(location, { method: 'PATCH', body: 'x', headers: outOfOrder });
    expect(failed.status).toBe(416);

    await expectFull(registry);

    expect((await registry.call(location, { method: 'DELETE' })).status).toBe(204);
    await expectFree(registry, 1);
  });

  it('count not for pushes in one request, mounts and refused requests', async () => {
    const registry = await servers.start();
    for (let count = 0; count < MAX + 2; count += 1) {
      const body = `blob ${count}`;
      const target = `${START}?digest=${sha256(body)}`;
      expect((await registry.call(target, { method: 'POST', body })).status).toBe(201);
      const mount = `/v2/b/blobs/uploads/?mount=${sha256(body)}&from=a`;
      expect((await registry.call(mount, { method: 'POST' })).status).toBe(201);
      expect((await registry.call(`${START}?digest=nonsense`, { method: 'POST', body })).status).toBe(400);
      const unknown = `${START}?digest-algorithm=md5`;
      expect((await registry.call(unknown, { method: 'POST' })).status).toBe(400);
    }

    await startAll(registry);
    await expectFull(registry);
    const push = `${START}?digest=${sha256('one more')}`;
    expect((await registry.call(push, { method: 'POST', body: 'one more' })).status).toBe(201);
    const mount = `/v2/b/blobs/uploads/?mount=${sha256('one more')}&from=a`;
    expect((await registry.call(mount, { method: 'POST' })).status).toBe(201);
  });

  it('count not when another replica has ended them', async () => {
    const registry = await servers.start();
    const other = await servers.start();
    const [first = '', second = ''] = await startAll(registry);
    await expectFull(registry);

    await other.call(`${first}?digest=${sha256('x')}`, { method: 'PUT', body: 'x' });
    await other.call(second, { method: 'DELETE' });

    await expect
      .poll(() => startUpload(registry).then(({ status }) => status), { timeout: 10_000 })
      .toBe(202);
    await expectFree(registry, 1);
  });

  it('are forgotten by a server that was killed', async () => {
    const registry = await servers.start();
    const [location = ''] = await startAll(registry);
    await expectFull(registry);
    process.kill(registry.process.pid, 'SIGKILL');
    await registry.process.stop();

    const next = await servers.start();

    await startAll(next);
    await expectFull(next);
    const put = await next.call(`${location}?digest=${sha256('x')}`, { method: 'PUT', body: 'x' });
    expect(put.status).toBe(201);
    await expectFull(next);
  });
});
