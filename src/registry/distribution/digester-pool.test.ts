import * as fc from 'fast-check';
import { afterAll, expect, test, vi } from 'vitest';

import { createDigesters } from './digester-pool.ts';
import type { Digester } from './digester.ts';
import { SMALL_STREAM_BYTES } from './pooled-digester.ts';
import { digestOf, failureOf, someBytes } from './testing.ts';

const digests = createDigesters({ threads: 1 });
afterAll(() => digests.close());

async function feed(digester: Digester, bytes: Uint8Array, chunkBytes: number): Promise<void> {
  for (let start = 0; start < bytes.byteLength; start += chunkBytes) {
    await digester.update(bytes.subarray(start, start + chunkBytes));
  }
}

test.each([0, 1, SMALL_STREAM_BYTES, SMALL_STREAM_BYTES + 1, 3_000_000])(
  'digests %i bytes by both algorithms at once',
  async (size) => {
    const bytes = someBytes(size);
    const digester = digests.create(['sha256', 'sha512', 'sha256']);

    await feed(digester, bytes, 65_536);

    expect(digester.size).toBe(size);
    expect(await digester.finish()).toEqual({
      sha256: digestOf(bytes),
      sha512: digestOf(bytes, 'sha512'),
    });
  },
);

test('the digest does not depend on how the stream is cut', async () => {
  const bytes = someBytes(400_000);
  const cuts = fc.array(fc.integer({ min: 1, max: 150_000 }), { minLength: 1, maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(cuts, async (sizes) => {
      const digester = digests.create(['sha256']);
      let start = 0;
      for (const size of sizes) {
        await digester.update(bytes.subarray(start, start + size));
        start = Math.min(start + size, bytes.byteLength);
      }

      expect(await digester.finish()).toEqual({ sha256: digestOf(bytes.subarray(0, start)) });
    }),
    { numRuns: 30 },
  );
});

test('the buffer may be used again after an update, and updates may overlap', async () => {
  const batch = digests.buffers.take();
  const first = batch.subarray(0, 200_000);
  const second = someBytes(200_000, 2);
  const digester = digests.create(['sha256']);
  first.fill(7);

  const updates = [digester.update(first), digester.update(second)];
  await Promise.all(updates);
  first.fill(0);

  const expected = Buffer.concat([Buffer.alloc(200_000, 7), second]);
  expect(await digester.finish()).toEqual({ sha256: digestOf(expected) });
  digests.buffers.give(batch);
});

test('streams that run at the same time do not mix', async () => {
  const contents = Array.from({ length: 12 }, (_, seed) => someBytes(300_000, seed + 1));

  const found = await Promise.all(
    contents.map(async (bytes) => {
      const digester = digests.create(['sha256']);
      await feed(digester, bytes, 50_000);
      return digester.finish();
    }),
  );

  expect(found).toEqual(contents.map((bytes) => ({ sha256: digestOf(bytes) })));
});

test('a digest is taken once, and a stream that was given up takes nothing more', async () => {
  const taken = digests.create(['sha256']);
  await taken.finish();
  const givenUp = digests.create(['sha256']);
  await feed(givenUp, someBytes(200_000), 100_000);
  givenUp.close();
  givenUp.close();

  await expect(taken.update(new Uint8Array(1))).rejects.toThrow('taken or given up');
  await expect(taken.finish()).rejects.toThrow('taken or given up');
  await expect(givenUp.update(new Uint8Array(1))).rejects.toThrow('taken or given up');
});

test('closing fails what is under way and what starts later', async () => {
  const closing = createDigesters({ threads: 2 });
  const running = closing.create(['sha256']);
  await running.update(someBytes(100_000));
  const outcome = failureOf(running.finish());

  await closing.close();

  expect(await outcome).toContain('closed');
  const late = closing.create(['sha256']);
  await expect(late.update(someBytes(100_000))).rejects.toThrow('closed');
});

test('a thread that has nothing to do for a while is ended, and another one takes the next stream', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const pool = createDigesters({ threads: 1 });
  const bytes = someBytes(300_000);
  try {
    const first = pool.create(['sha256']);
    await feed(first, bytes, 100_000);
    vi.advanceTimersByTime(60_000);

    // A stream that a client left open for a minute still has its thread.
    expect(await first.finish()).toEqual({ sha256: digestOf(bytes) });
    expect(vi.getTimerCount()).toBe(1);

    vi.advanceTimersByTime(20_000);

    expect(vi.getTimerCount()).toBe(0);

    const second = pool.create(['sha256']);
    await feed(second, bytes, 100_000);

    expect(await second.finish()).toEqual({ sha256: digestOf(bytes) });
  } finally {
    await pool.close();
    vi.useRealTimers();
  }
});
