import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { type Answer, startRegistry, type TestRegistry } from '../../servers/registry.ts';
import { MANIFEST_TYPE, manifestOf, sha256 } from './content.ts';

const run = promisify(execFile);
const KIB = 1 << 10;
const MIB = 1 << 20;
const DISK_BYTES = 8 * MIB;
const UPLOADS = '/v2/team/app/blobs/uploads/';

let folder: string;
let disk: string;
let registry: TestRegistry;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'full-disk-'));
  disk = join(folder, 'disk');
  await mkdir(disk);
  await run('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'full-disk-test', disk]);
  registry = await startRegistry({
    folder,
    config: {
      storage: { driver: 'filesystem', rootDirectory: join(disk, 'data') },
      auth: { anonymous: 'PullPush' },
    },
  });
});

afterEach(async () => {
  await registry.process.stop();
  await run('umount', [disk]);
  await rm(folder, { recursive: true });
});

/** Leaves no byte; something else than the registry takes the room. */
async function fill(): Promise<void> {
  for (let size = 2 * MIB, count = 0; size >= 4 * KIB; count++) {
    try {
      await writeFile(join(disk, `filler-${size}-${count}`), Buffer.alloc(size));
    } catch {
      size /= 2;
    }
  }
}

async function free(): Promise<void> {
  for (const name of await readdir(disk)) if (name.startsWith('filler-')) await rm(join(disk, name));
}

function expectFull(answer: Answer): void {
  expect(answer.status).toBe(507);
  const message = 'no space left in the storage';
  expect(answer.json()).toMatchObject({ errors: [{ code: 'UNAVAILABLE', message }] });
}

async function start(): Promise<string> {
  const { headers } = await registry.call(UPLOADS, { method: 'POST' });
  return headers.location ?? '';
}

async function offsetOf(location: string): Promise<number> {
  const { status, headers } = await registry.call(location);
  expect(status).toBe(204);
  return Number(/^0-(\d+)$/.exec(headers.range ?? '')?.[1]) + 1;
}

describe('on a full disk', () => {
  it('a chunk that does not fit is answered 507; the upload is kept, and goes on when there is room', async () => {
    const bytes = randomBytes(7 * MIB);
    const location = await start();
    const patch = (from: number, to: number): Promise<Answer> => {
      const headers = { 'content-range': `${from}-${to - 1}` };
      return registry.call(location, { method: 'PATCH', headers, body: bytes.subarray(from, to) });
    };
    expect((await patch(0, MIB)).status).toBe(202);
    await writeFile(join(disk, 'filler'), Buffer.alloc(3 * MIB));

    expectFull(await patch(MIB, bytes.length));

    const kept = await offsetOf(location);
    expect(kept).toBeGreaterThanOrEqual(MIB);
    expect(kept).toBeLessThanOrEqual(DISK_BYTES - 3 * MIB);
    await fill();
    expect(await offsetOf(location)).toBe(kept);
    expectFull(await patch(kept, bytes.length));
    await rm(join(disk, 'filler'));
    await free();
    const there = await offsetOf(location);
    expect((await patch(there, bytes.length)).status).toBe(202);
    const put = await registry.call(`${location}?digest=${sha256(bytes)}`, { method: 'PUT' });
    expect(put.status).toBe(201);
    const { body } = await registry.call(`/v2/team/app/blobs/${sha256(bytes)}`);
    expect(body.equals(bytes)).toBe(true);
  });

  it('an upload that cannot be finished is kept, and can be finished later or cancelled', async () => {
    const bytes = randomBytes(MIB);
    const [finished, cancelled] = [await start(), await start()];
    for (const location of [finished, cancelled]) {
      const { status } = await registry.call(location, { method: 'PATCH', body: bytes });
      expect(status).toBe(202);
    }
    const target = `${finished}?digest=${sha256(bytes)}`;
    await fill();

    expectFull(await registry.call(target, { method: 'PUT' }));
    expectFull(await registry.call(UPLOADS, { method: 'POST' }));
    expect((await registry.call(cancelled, { method: 'DELETE' })).status).toBe(204);
    expect((await registry.call(cancelled)).status).toBe(404);
    // Its room is enough to finish the other one.
    expect((await registry.call(target, { method: 'PUT' })).status).toBe(201);
  });

  it('whole blobs and manifests are refused and leave nothing, and what is stored is still served', async () => {
    const config = Buffer.from('{}');
    const push = (body: Uint8Array): Promise<Answer> =>
      registry.call(`${UPLOADS}?digest=${sha256(body)}`, { method: 'POST', body });
    const tag = (name: string, text: string): Promise<Answer> => {
      const headers = { 'content-type': MANIFEST_TYPE };
      return registry.call(`/v2/team/app/manifests/${name}`, { method: 'PUT', headers, body: text });
    };
    expect((await push(config)).status).toBe(201);
    expect((await tag('before', manifestOf())).status).toBe(201);
    await fill();
    const files = await readdir(join(disk, 'data', 'docker'), { recursive: true });

    expectFull(await push(randomBytes(MIB)));
    expectFull(await tag('after', manifestOf({ title: 'another' })));

    expect(await readdir(join(disk, 'data', 'docker'), { recursive: true })).toEqual(files);
    expect((await registry.call('/v2/team/app/manifests/before')).status).toBe(200);
    expect((await registry.call('/v2/team/app/manifests/after')).status).toBe(404);
    // Ready: what is stored can be pulled, and a deletion makes room.
    expect((await fetch(`${registry.opsUrl}/readyz`)).status).toBe(200);
    await free();
    expect((await tag('after', manifestOf({ title: 'another' }))).status).toBe(201);
  });
});
