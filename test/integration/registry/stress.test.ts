import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { scratchFolder } from '../../helpers/scratch-folder.ts';
import { startRegistry, type TestRegistry } from '../../servers/registry.ts';
import { sha256 } from './content.ts';
import { metric } from './slow-client.ts';

const MIB = 1 << 20;
const ROUNDS = 300;
const PARALLEL = 50;
/** Files that a server may open late and keep: threads, watchers, connections of the test itself. */
const SPARE_FILES = 20;

let folder: string;
let registry: TestRegistry;
const blob = randomBytes(8 * MIB);

beforeAll(async () => {
  folder = await scratchFolder('registry-');
  registry = await startRegistry({
    folder,
    config: {
      storage: { driver: 'filesystem', rootDirectory: join(folder, 'data') },
      auth: { anonymous: 'PullPush' },
      // Small, so that a few buffers that are not given back would stop everything.
      http: { bufferBytes: 8 * MIB },
    },
  });
  await registry.call(`/v2/stress/blobs/uploads/?digest=${sha256(blob)}`, {
    method: 'POST',
    body: blob,
  });
});
afterAll(async () => {
  await registry.process.stop();
  await rm(folder, { recursive: true });
});

/** Sends this much of a request and cuts the connection, mostly before the answer has ended. */
async function sendAndLeave(head: string, body: Uint8Array, delayMs: number): Promise<void> {
  const socket = connect(Number(new URL(registry.url).port), '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(head);
  socket.write(body);
  const first = new Promise((resolve) => socket.once('data', resolve));
  await Promise.race([first, new Promise((resolve) => setTimeout(resolve, delayMs))]);
  socket.destroy();
  await once(socket, 'close');
}

async function inParallel(work: (round: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let round = next++; round < ROUNDS; round = next++) await work(round);
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
}

/** Everything that the clients have left is given back. */
async function expectQuiet(files: number): Promise<void> {
  await vi.waitFor(
    async () => {
      for (const handler of ['blob', 'blob_upload', 'blob_upload_chunk']) {
        const running = await metric(registry, `registry_http_in_flight_requests{handler="${handler}"}`);
        expect(running).toBe(0);
      }
      expect(await metric(registry, 'process_open_fds')).toBeLessThan(files + SPARE_FILES);
    },
    { timeout: 10_000, interval: 100 },
  );
}

/** More streams at once than a pool that has lost buffers could serve. */
async function serves(): Promise<boolean> {
  const pulls = await Promise.all(
    Array.from({ length: 20 }, () => registry.call(`/v2/stress/blobs/${sha256(blob)}`)),
  );
  const pushes = await Promise.all(
    Array.from({ length: 20 }, (_, index) => {
      const bytes = Buffer.concat([blob.subarray(0, 2 * MIB), Buffer.from([index])]);
      const target = `/v2/stress/blobs/uploads/?digest=${sha256(bytes)}`;
      return registry.call(target, { method: 'POST', body: bytes });
    }),
  );
  return pulls.every(({ body }) => body.equals(blob)) && pushes.every(({ status }) => status === 201);
}

async function locks(): Promise<string[]> {
  const names = await readdir(join(folder, 'data'), { recursive: true });
  return names.filter((name) => name.includes('~lock'));
}

describe('hundreds of clients that leave', () => {
  it('in the middle of a download cost nothing afterwards', async () => {
    const files = await metric(registry, 'process_open_fds');
    const head = `GET /v2/stress/blobs/${sha256(blob)} HTTP/1.1\r\nHost: x\r\n\r\n`;

    await inParallel((round) => sendAndLeave(head.repeat(1 + (round % 3)), Buffer.of(), round % 20));

    await expectQuiet(files);
    expect(await serves()).toBe(true);
  });

  it('in the middle of an upload cost nothing afterwards', async () => {
    const files = await metric(registry, 'process_open_fds');
    const started = await Promise.all(
      Array.from({ length: PARALLEL }, () => registry.call('/v2/stress/blobs/uploads/', { method: 'POST' })),
    );
    const locations = started.map(({ headers }) => headers.location ?? '');
    const targets = [
      (round: number) => `PATCH ${locations[round % PARALLEL]}`,
      (round: number) => `PUT ${locations[round % PARALLEL]}?digest=${sha256(blob)}`,
      () => `POST /v2/stress/blobs/uploads/?digest=${sha256('another')}`,
    ];

    await inParallel(async (round) => {
      const target = targets[round % targets.length]?.(round) ?? '';
      const head = `${target} HTTP/1.1\r\nHost: x\r\nContent-Length: ${blob.length}\r\n\r\n`;
      await sendAndLeave(head, blob.subarray(0, (round % 16) * 64 * 1024), 5 + (round % 20));
    });

    await expectQuiet(files);
    expect(await locks()).toEqual([]);
    for (const location of locations) {
      const cancelled = await registry.call(location, { method: 'DELETE' });
      expect(cancelled.status).toBe(204);
    }
    expect(await serves()).toBe(true);
    expect(await metric(registry, 'process_resident_memory_bytes')).toBeLessThan(400 * MIB);
    expect(registry.process.log()).not.toMatch(/"level":"(?:error|fatal)"/);
  });
});
