import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { Agent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { loadedHash } from '../../../src/api/loaded-hash.ts';
import { startRegistry, type TestRegistry } from '../../servers/registry.ts';
import { sha256 } from './content.ts';
import { RetryingClient } from './retrying-client.ts';

const WAIT = { timeout: 30_000, interval: 50 };
const START = '/v2/a/blobs/uploads/';
/** bcrypt with the lowest cost of `first` and of `second`. */
const FIRST = 'alice:$2b$04$lvNsyMn4.yZulgH4AvqvVOoVekyscQlz6QaP10.LDBmytE0.RbYNq';
const SECOND = 'alice:$2b$04$Umb1Uh7AzRJ2r.SaN42Xr.kdS8CDqYjD4d/c3pQsXlAfacWmrpqua';

let folder: string;
let users: string;
let registry: TestRegistry;
const agents: Agent[] = [];

/** The tests go on with the server that the one before has left. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'registry-'));
  users = join(folder, 'users');
  await writeFile(users, `${FIRST}\n`);
  registry = await startRegistry({
    folder,
    config: {
      storage: { driver: 'filesystem', rootDirectory: join(folder, 'data') },
      http: { processes: 2 },
      auth: { anonymous: 'PullPush', basic: { htpasswdFiles: [users] } },
    },
  });
});
afterAll(async () => {
  for (const agent of agents) agent.destroy();
  await registry.process.stop();
  await rm(folder, { recursive: true });
});

/** Process numbers of the system, in no order. */
async function servingPids(): Promise<number[]> {
  const { pid } = registry.process;
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.trim().split(' ').filter(Boolean).map(Number);
}

interface Reply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

interface Request {
  readonly method?: string;
  readonly body?: Uint8Array;
  readonly user?: string;
}

function begin(agent: Agent, target: string, { method = 'GET', body, user }: Request, length?: number) {
  return httpRequest(new URL(target, registry.url), {
    agent,
    method,
    headers: {
      ...(user === undefined ? {} : { authorization: `Basic ${Buffer.from(user).toString('base64')}` }),
      ...(body || length !== undefined ? { 'content-length': String(length ?? body?.byteLength) } : {}),
    },
  });
}

async function replyTo(request: ClientRequest): Promise<Reply> {
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, body: await buffer(response) };
}

async function ask(agent: Agent, target: string, request: Request = {}): Promise<Reply> {
  return replyTo(begin(agent, target, request).end(request.body));
}

/** A connection to the one process: the others are held while it is made. */
async function connectionTo(pid: number): Promise<Agent> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  agents.push(agent);
  const others = (await servingPids()).filter((other) => other !== pid);
  for (const other of others) process.kill(other, 'SIGSTOP');
  try {
    expect((await ask(agent, '/v2/')).status).toBe(200);
  } finally {
    for (const other of others) process.kill(other, 'SIGCONT');
  }
  return agent;
}

async function connectionToEach(): Promise<[Agent, Agent]> {
  const [first = 0, second = 0, ...more] = await servingPids();
  expect(more).toEqual([]);
  return [await connectionTo(first), await connectionTo(second)];
}

async function readyz(): Promise<{ status: string; loadedHash: string }> {
  const response = await fetch(`${registry.opsUrl}/readyz?verbose`);
  return (await response.json()) as { status: string; loadedHash: string };
}

async function untilReady(): Promise<void> {
  await vi.waitFor(async () => expect(await readyz()).toMatchObject({ status: 'ready' }), WAIT);
}

/** Until all processes use what the files say now. */
async function untilLoaded(): Promise<void> {
  const config = await readFile(registry.configFile);
  const hash = loadedHash(config, new Map([[users, await readFile(users)]]));
  const report = { status: 'ready', loadedHash: hash };
  await vi.waitFor(async () => expect(await readyz()).toMatchObject(report), WAIT);
}

/** The value of a metric, 0 when there is none. */
async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${registry.opsUrl}/metrics`)).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}

/** Which process has answered, by what the log says. */
function servedBy(reply: Reply): unknown {
  const id = String(reply.headers['x-request-id']);
  const line = registry.process
    .log()
    .split('\n')
    .find((text) => text.includes(id));
  return line === undefined ? undefined : (JSON.parse(line) as { process?: number }).process;
}

describe('a server of two processes', () => {
  it('goes on in one process with an upload that the other one has', async () => {
    const [first, second] = await connectionToEach();
    const blobs = Array.from({ length: 3 }, () => randomBytes(700_000));
    const processes = new Set<unknown>();
    await Promise.all(
      blobs.map(async (blob, index) => {
        const turn = (n: number): Agent => ((n + index) % 2 === 0 ? first : second);
        const started = await ask(turn(1), START, { method: 'POST' });
        const location = started.headers.location ?? '';
        const size = 50_000;
        for (let offset = 0, n = 0; offset < blob.byteLength; offset += size, n += 1) {
          const body = blob.subarray(offset, offset + size);
          const reply = await ask(turn(n), location, { method: 'PATCH', body });
          expect([reply.status, reply.headers.range]).toEqual([202, `0-${offset + size - 1}`]);
          const status = await ask(turn(n + 1), location);
          expect([status.status, status.headers.range]).toEqual([204, `0-${offset + size - 1}`]);
          await vi.waitFor(() => expect(servedBy(status)).toBeDefined(), WAIT);
          processes.add(servedBy(reply)).add(servedBy(status));
        }
        const put = await ask(turn(0), `${location}?digest=${sha256(blob)}`, { method: 'PUT' });
        expect(put.status).toBe(201);
        const pulled = await ask(turn(1), `/v2/a/blobs/${sha256(blob)}`);
        expect(pulled.body.equals(blob)).toBe(true);
      }),
    );

    expect(processes).toEqual(new Set([1, 2]));
  });

  it('lists in both processes what was pushed to one', async () => {
    const [first, second] = await connectionToEach();
    await ask(first, `/v2/listed/blobs/uploads/?digest=${sha256('x')}`, {
      method: 'POST',
      body: Buffer.from('x'),
    });
    for (const agent of [first, second]) {
      const catalog = await ask(agent, '/v2/_catalog');
      expect(catalog.body.toString()).toContain('"listed"');
    }
  });

  it('adds up the metrics of both', async () => {
    const [first, second] = await connectionToEach();
    const name = 'registry_http_requests_total{handler="base",method="GET",code="200"}';
    await vi.waitFor(
      async () => expect(await metric('registry_http_in_flight_requests{handler="base"}')).toBe(0),
      WAIT,
    );
    const before = await metric(name);

    for (let n = 0; n < 30; n += 1)
      expect((await ask(n % 3 === 0 ? first : second, '/v2/')).status).toBe(200);

    await vi.waitFor(async () => expect(await metric(name)).toBe(before + 30), WAIT);
    expect(await metric('registry_processes')).toBe(2);
    expect(await metric('process_start_time_seconds')).toBeLessThanOrEqual(Date.now() / 1000);
  });

  it('takes over new users in both, and then names what it has loaded', async () => {
    const [first, second] = await connectionToEach();
    for (const agent of [first, second]) {
      expect((await ask(agent, '/v2/', { user: 'alice:first' })).status).toBe(200);
      expect((await ask(agent, '/v2/', { user: 'alice:second' })).status).toBe(401);
    }
    await writeFile(users, `${SECOND}\n`);
    await untilLoaded();

    for (const agent of [first, second]) {
      expect((await ask(agent, '/v2/', { user: 'alice:first' })).status).toBe(401);
      expect((await ask(agent, '/v2/', { user: 'alice:second' })).status).toBe(200);
    }
  });

  it('gives each process its part of new limits, and the new log level', async () => {
    const both = await connectionToEach();
    const good = await readFile(registry.configFile, 'utf8');
    const limits = { perClient: { maxOpenUploads: 2 } };
    await replaceConfig(JSON.stringify({ ...JSON.parse(good), limits, logging: { level: 'Error' } }));
    await untilLoaded();

    const replies: Reply[] = [];
    for (const agent of [...both, ...both]) {
      replies.push(await ask(agent, START, { method: 'POST', user: 'alice:second' }));
    }
    expect(replies.map(({ status }) => status)).toEqual([202, 202, 429, 429]);
    await replaceConfig(good);
    await untilLoaded();
    for (const agent of both) {
      const reply = await ask(agent, '/v2/');
      await vi.waitFor(() => expect(servedBy(reply)).toBeDefined(), WAIT);
    }
    expect(replies.map((reply) => servedBy(reply))).toEqual(replies.map(() => undefined));
  });

  it('counts a value that cannot be used, and goes on with the old one', async () => {
    const good = await readFile(registry.configFile, 'utf8');
    const before = await readyz();
    await replaceConfig(JSON.stringify({ ...JSON.parse(good), limits: { maxBlobBytes: -1 } }));
    await vi.waitFor(async () => {
      expect(await metric('registry_config_reload_failures_total{field="config"}')).toBe(2);
    }, WAIT);
    expect(await readyz()).toEqual(before);
    await replaceConfig(good);
    await untilLoaded();
  });

  it('loses no byte that it has acknowledged when a process is killed, and replaces it', async () => {
    const [victim = 0, other = 0] = await servingPids();
    const [first, second] = [await connectionTo(victim), await connectionTo(other)];
    const counted = 'registry_http_requests_total{handler="blob_upload_chunk",method="PATCH",code="202"}';
    const blob = randomBytes(600_000);
    const started = await ask(first, START, { method: 'POST' });
    const location = started.headers.location ?? '';
    const acknowledged = await ask(first, location, { method: 'PATCH', body: blob.subarray(0, 300_000) });
    expect(acknowledged.status).toBe(202);
    const inFlight = 'registry_http_in_flight_requests{handler="blob_upload_chunk"}';
    await vi.waitFor(async () => expect(await metric(inFlight)).toBe(0), WAIT);
    const before = await metric(counted);
    // A part of the next bytes has come, and the process holds the session.
    const broken = begin(first, location, { method: 'PATCH' }, 300_000);
    broken.on('error', () => undefined);
    const gone = new Promise((resolve) => broken.once('close', resolve));
    broken.write(blob.subarray(300_000, 400_000));
    await vi.waitFor(async () => expect(await metric(inFlight)).toBe(1), WAIT);

    process.kill(victim, 'SIGKILL');

    await gone;
    const status = await ask(second, location);
    const received = Number(status.headers.range?.split('-')[1]) + 1;
    expect(received).toBeGreaterThanOrEqual(300_000);
    const rest = await ask(second, location, { method: 'PATCH', body: blob.subarray(received) });
    expect(rest.status).toBe(202);
    const put = await ask(second, `${location}?digest=${sha256(blob)}`, { method: 'PUT' });
    expect(put.status).toBe(201);
    await untilReady();
    expect(await servingPids()).not.toContain(victim);
    expect(await metric('registry_process_ends_total')).toBe(1);
    await vi.waitFor(async () => expect(await metric(counted)).toBe(before + 1), WAIT);
    expect(
      (
        await ask(
          await connectionTo((await servingPids()).find((pid) => pid !== other) ?? 0),
          `/v2/a/blobs/${sha256(blob)}`,
        )
      ).body.equals(blob),
    ).toBe(true);
  });

  it('fails no request while its processes end in order, one after the other', async () => {
    await untilReady();
    const client = new RetryingClient(() => [registry.url]);
    const stop = new AbortController();
    const failures: unknown[] = [];
    let answered = 0;
    const load = Array.from({ length: 6 }, async (_, worker) => {
      while (!stop.signal.aborted) {
        try {
          const blob = randomBytes(20_000);
          const push = `/v2/load${worker}/blobs/uploads/?digest=${sha256(blob)}`;
          expect((await client.ask(push, { method: 'POST', body: blob })).status).toBe(201);
          const pulled = await client.ask(`/v2/load${worker}/blobs/${sha256(blob)}`);
          expect(pulled.body.equals(blob)).toBe(true);
          answered += 1;
        } catch (error) {
          failures.push(error);
        }
      }
    });

    for (const pid of await servingPids()) {
      const before = answered;
      process.kill(pid, 'SIGTERM');
      await vi.waitFor(async () => expect(await servingPids()).not.toContain(pid), WAIT);
      await untilReady();
      await vi.waitFor(() => expect(answered).toBeGreaterThan(before), WAIT);
    }
    stop.abort();
    await Promise.all(load);
    client.close();

    expect(failures).toEqual([]);
    expect(client.refused).toBe(0);
    // One that is sent at the very moment in which a quiet connection is closed cannot be helped.
    expect(client.lost).toBeLessThanOrEqual(3);
  });

  it('writes whole lines, each with its process', async () => {
    const lines = registry.process
      .log()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);

    const requests = lines.filter(({ msg }) => msg === 'request');
    expect(new Set(requests.map((line) => line.process))).toEqual(new Set([1, 2]));
  });

  it('drains all processes at a signal', async () => {
    const [first] = await connectionToEach();
    const body = randomBytes(1000);
    const running = begin(first, `${START}?digest=${sha256(body)}`, { method: 'POST' }, body.byteLength);
    const reply = replyTo(running);
    running.write(body.subarray(0, 500));
    await vi.waitFor(async () => {
      expect(await metric('registry_http_in_flight_requests{handler="blob_upload"}')).toBe(1);
    }, WAIT);

    process.kill(registry.process.pid, 'SIGTERM');

    await vi.waitFor(async () => expect(await readyz()).toMatchObject({ status: 'draining' }), WAIT);
    running.end(body.subarray(500));
    expect((await reply).status).toBe(201);
    await vi.waitFor(() => expect(registry.process.log()).toMatch(/Z","msg":"stopped"\}\n$/), WAIT);
    await registry.process.stop();
    expect(registry.process.log()).not.toContain('cut off');
    expect(await servingPids()).toEqual([]);
  });
});

describe('processes whose supervisor is killed', () => {
  it('end with it', async () => {
    const own = await mkdtemp(join(folder, 'killed-'));
    registry = await startRegistry({
      folder: own,
      config: {
        storage: { driver: 'filesystem', rootDirectory: join(folder, 'data') },
        http: { processes: 2 },
        auth: { anonymous: 'PullPush' },
      },
    });
    const pids = await servingPids();
    expect(pids).toHaveLength(2);

    process.kill(registry.process.pid, 'SIGKILL');

    await vi.waitFor(() => expect(pids.filter(isAlive)).toEqual([]), WAIT);
    await expect(registry.call('/v2/')).rejects.toThrow('ECONNREFUSED');
  });
});

interface Line {
  readonly msg: string;
  readonly process?: number;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function replaceConfig(text: string): Promise<void> {
  await writeFile(`${registry.configFile}.new`, text);
  await rename(`${registry.configFile}.new`, registry.configFile);
}
