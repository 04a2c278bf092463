import { expect, test } from 'vitest';

import { VirtualClock } from '../../../test/helpers/virtual-clock.ts';
import { createOperatorMetrics } from '../metrics.ts';
import { WorkQueue } from './work-queue.ts';

function create(): {
  queue: WorkQueue;
  clock: VirtualClock;
  metrics: ReturnType<typeof createOperatorMetrics>;
} {
  const clock = new VirtualClock();
  const metrics = createOperatorMetrics();
  return { queue: new WorkQueue({ name: 'test', clock, metrics }), clock, metrics };
}

/** Takes everything that waits, without giving it back. */
async function takeAll(queue: WorkQueue): Promise<(string | undefined)[]> {
  return Promise.all(Array.from({ length: queue.depth }, () => queue.take()));
}

test('hands out keys in the order they were added, each once', async () => {
  const { queue } = create();

  for (const key of ['b', 'a', 'b', 'c', 'a']) queue.add(key);

  expect(await takeAll(queue)).toEqual(['b', 'a', 'c']);
});

test('gives a waiting worker the next key', async () => {
  const { queue } = create();
  const waiting = queue.take();

  queue.add('a');

  await expect(waiting).resolves.toBe('a');
});

test('never gives one key to two workers, and gives it again once the first is done', async () => {
  const { queue } = create();
  queue.add('a');
  await queue.take();

  queue.add('a');
  queue.add('a');

  expect(queue.depth).toBe(0);
  queue.done('a');
  expect(await takeAll(queue)).toEqual(['a']);
  queue.done('a');
  expect(queue.depth).toBe(0);
});

test('adds a key after a delay, and the earliest of several delays counts', async () => {
  const { queue, clock } = create();
  queue.addAfter('a', 10_000);
  queue.addAfter('a', 1000);
  queue.addAfter('a', 5000);

  await clock.advance(999);
  expect(queue.depth).toBe(0);
  await clock.advance(1);
  expect(await takeAll(queue)).toEqual(['a']);
  queue.done('a');
  await clock.advance(60_000);
  expect(queue.depth).toBe(0);
});

test('waits longer after every failure, from 5 ms to 5 minutes, until the key is forgotten', async () => {
  const { queue, clock } = create();
  const waits: number[] = [];

  for (let failure = 0; failure < 18; failure += 1) {
    queue.retry('a');
    const start = clock.monotonic();
    while (queue.depth === 0) await clock.advance(failure < 8 ? 1 : 1000);
    waits.push(clock.monotonic() - start);
    await takeAll(queue);
    queue.done('a');
  }

  expect(waits.slice(0, 8)).toEqual([5, 10, 20, 40, 80, 160, 320, 640]);
  expect(waits.slice(-2)).toEqual([300_000, 300_000]);
  queue.forget('a');
  expect(queue.failures('a')).toBe(0);
});

test('holds a storm of retries of many keys back', async () => {
  const { queue, clock } = create();

  for (let index = 0; index < 150; index += 1) queue.retry(`key-${index}`);
  await clock.advance(5);
  expect(queue.depth).toBe(100);
  await clock.advance(1000);
  expect(queue.depth).toBe(110);
  await clock.advance(4000);
  expect(queue.depth).toBe(150);
});

test('sends workers home and takes nothing more when it is shut down', async () => {
  const { queue, clock } = create();
  const waiting = queue.take();
  queue.addAfter('later', 1000);

  queue.shutDown();
  queue.add('a');
  queue.addAfter('b', 10);
  await clock.advance(2000);

  await expect(waiting).resolves.toBeUndefined();
  await expect(queue.take()).resolves.toBeUndefined();
  expect(queue.depth).toBe(0);
  expect(clock.sleeping).toBe(0);
});

test('measures how long keys wait and work', async () => {
  const { queue, clock, metrics } = create();
  queue.add('a');
  clock.stall(2000);
  await queue.take();
  clock.stall(3000);
  queue.observe();
  const during = await metrics.registry.metrics();
  queue.done('a');
  const after = await metrics.registry.metrics();

  expect(during).toContain('workqueue_unfinished_work_seconds{name="test"} 3');
  expect(during).toContain('workqueue_longest_running_processor_seconds{name="test"} 3');
  expect(after).toContain('workqueue_queue_duration_seconds_sum{name="test"} 2');
  expect(after).toContain('workqueue_work_duration_seconds_sum{name="test"} 3');
  expect(after).toContain('workqueue_adds_total{name="test"} 1');
});
