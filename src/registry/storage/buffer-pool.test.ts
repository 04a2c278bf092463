import { describe, expect, test, vi } from 'vitest';

import { BufferPool } from './buffer-pool.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

describe('BufferPool', () => {
  test('lends buffers of exactly the size and uses them again', async () => {
    const pool = new BufferPool(1024 * KIB);
    const first = await pool.acquire(64 * KIB);

    expect(first.length).toBe(64 * KIB);
    expect(pool.usedBytes).toBe(64 * KIB);
    pool.release(first);

    expect(pool.usedBytes).toBe(0);
    expect(await pool.acquire(64 * KIB)).toBe(first);
  });

  test('gives back to the system what it does not keep, and after a while what nobody asked for', () => {
    vi.useFakeTimers();
    try {
      const pool = new BufferPool(64 * MIB);
      const [kept, unkept] = [16 * MIB, 16 * MIB].map((bytes) => pool.tryAcquire(bytes) ?? Buffer.of());
      if (kept) pool.release(kept);
      if (unkept) pool.release(unkept);

      expect([kept?.length, unkept?.length]).toEqual([16 * MIB, 0]);

      vi.advanceTimersByTime(20_000);

      expect(kept?.length).toBe(0);
      expect(pool.tryAcquire(16 * MIB)?.length).toBe(16 * MIB);
    } finally {
      vi.useRealTimers();
    }
  });

  test('makes requests past the bound wait, in turn', async () => {
    const pool = new BufferPool(128 * KIB);
    const first = await pool.acquire(128 * KIB);
    const order: string[] = [];
    const second = pool.acquire(64 * KIB).then((buffer) => {
      order.push('second');
      return buffer;
    });
    const third = pool.acquire(64 * KIB).then(() => order.push('third'));

    expect(pool.tryAcquire(1)).toBeUndefined();
    pool.release(first);
    const buffer = await second;
    await third;

    expect(order).toEqual(['second', 'third']);
    expect(pool.usedBytes).toBe(128 * KIB);
    pool.release(buffer);
  });

  test('grants what is larger than the bound when it is alone', async () => {
    const pool = new BufferPool(KIB);

    const large = await pool.acquire(8 * KIB);

    expect(large.length).toBe(8 * KIB);
    expect(pool.tryAcquire(1)).toBeUndefined();
  });

  test('lets a waiting request go, and those behind it move up', async () => {
    const pool = new BufferPool(128 * KIB);
    const held = await pool.acquire(64 * KIB);
    const controller = new AbortController();
    const large = pool.acquire(128 * KIB, { signal: controller.signal });
    const small = pool.acquire(64 * KIB);
    const reason = new Error('the client left');

    controller.abort(reason);

    await expect(large).rejects.toBe(reason);
    expect((await small).length).toBe(64 * KIB);
    pool.release(held);
  });

  test('asks the one that has had its buffer for longest to give it back', async () => {
    let now = 0;
    const pool = new BufferPool(128 * KIB, () => now);
    const asked: string[] = [];
    const hold = (name: string): Promise<Buffer> =>
      pool.acquire(64 * KIB, {
        reclaim: (buffer) => {
          asked.push(name);
          pool.release(buffer);
        },
      });
    await hold('first');
    await hold('second');

    now = 2000;
    const third = await hold('third');

    expect(asked).toEqual(['first']);
    expect(third.length).toBe(64 * KIB);
    expect(pool.usedBytes).toBe(128 * KIB);
  });

  test('waits a moment before it asks, and asks another one when the first cannot', async () => {
    let now = 0;
    const pool = new BufferPool(128 * KIB, () => now);
    const asked: string[] = [];
    await pool.acquire(64 * KIB, {
      reclaim: (buffer) => {
        asked.push('stubborn');
        pool.keep(buffer);
      },
    });
    await pool.acquire(64 * KIB, {
      reclaim: (buffer) => {
        asked.push('willing');
        pool.release(buffer);
      },
    });

    const third = pool.acquire(64 * KIB);
    await new Promise(setImmediate);
    expect(asked).toEqual([]);
    now = 2000;
    await third;

    expect(asked).toEqual(['stubborn', 'willing']);
  });

  test('does not ask for a buffer that is about to be used', async () => {
    let now = 0;
    const pool = new BufferPool(64 * KIB, () => now);
    const held = await pool.acquire(64 * KIB, {
      reclaim: () => {
        throw new Error('asked all the same');
      },
    });
    pool.keep(held);
    now = 2000;

    const next = pool.acquire(64 * KIB);
    pool.release(held);

    expect((await next).length).toBe(64 * KIB);
  });
});
