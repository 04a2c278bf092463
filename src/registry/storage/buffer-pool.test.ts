import { describe, expect, test } from 'vitest';

import { BufferPool } from './buffer-pool.ts';

const KIB = 1024;

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
});
