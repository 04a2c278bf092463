import { expect, test } from 'vitest';

import { VirtualClock } from '../../../test/helpers/virtual-clock.ts';
import { createLogger } from '../../shared/logger.ts';
import { ApiError, isConflict, isForbidden } from '../kube/errors.ts';
import { WorkQueue } from '../kube/work-queue.ts';
import { createOperatorMetrics } from '../metrics.ts';
import type { ControllerDefinition } from './context.ts';
import { Controller, DeadlineError } from './controller.ts';
import { TerminalError } from './terminal-error.ts';

type Reconcile = ControllerDefinition['reconcile'];

interface Harness {
  readonly queue: WorkQueue;
  readonly clock: VirtualClock;
  readonly abort: AbortController;
  readonly ended: Promise<void>;
  readonly lines: string[];
  readonly text: () => Promise<string>;
}

function run(reconcile: Reconcile, workers = 1): Harness {
  const clock = new VirtualClock();
  const metrics = createOperatorMetrics();
  const lines: string[] = [];
  const logger = createLogger({ level: 'debug', destination: { write: (line: string) => lines.push(line) } });
  const queue = new WorkQueue({ name: 'test', clock, metrics });
  const controller = new Controller({
    name: 'test',
    reconcile,
    queue,
    workers,
    deadlineMs: 10_000,
    isConflict,
    isRefusal: isForbidden,
    clock,
    logger,
    metrics,
  });
  const abort = new AbortController();
  const ended = controller.run(abort.signal);
  return { queue, clock, abort, ended, lines, text: () => metrics.registry.metrics() };
}

test('reconciles a key and counts the success', async () => {
  const seen: string[] = [];
  const { queue, clock, text } = run(async (key) => {
    seen.push(key);
    return {};
  });

  queue.add('ns/a');
  await clock.advance(0);

  expect(seen).toEqual(['ns/a']);
  expect(await text()).toContain('controller_runtime_reconcile_total{controller="test",result="success"} 1');
  expect(clock.sleeping).toBe(0);
});

test('reconciles again after the time that the reconcile asks for', async () => {
  let runs = 0;
  const { queue, clock } = run(async () => {
    runs += 1;
    return { requeueAfterMs: 60_000 };
  });

  queue.add('a');
  await clock.advance(59_999);
  expect(runs).toBe(1);
  await clock.advance(1);
  expect(runs).toBe(2);
});

test('tries a failed key again with backoff, and logs the failure', async () => {
  let runs = 0;
  const { queue, clock, lines, text } = run(async () => {
    runs += 1;
    if (runs < 3) throw new Error('the disk is full');
    return {};
  });

  queue.add('a');
  await clock.advance(1000);

  expect(runs).toBe(3);
  expect(queue.failures('a')).toBe(0);
  expect(lines.filter((line) => line.includes('the disk is full'))).toHaveLength(2);
  expect(await text()).toContain('controller_runtime_reconcile_errors_total{controller="test"} 2');
});

test('tries again after a conflict without calling it an error', async () => {
  let runs = 0;
  const { queue, clock, lines, text } = run(async () => {
    runs += 1;
    if (runs === 1) throw new ApiError({ status: 409, reason: 'Conflict', message: 'changed meanwhile' });
    return {};
  });

  queue.add('a');
  await clock.advance(1000);

  expect(runs).toBe(2);
  expect(lines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  const metrics = await text();
  expect(metrics).toContain('controller_runtime_reconcile_total{controller="test",result="requeue"} 1');
  expect(metrics).not.toMatch(/reconcile_errors_total\{controller="test"\} [1-9]/);
});

test('gives people time to mend what was refused', async () => {
  let runs = 0;
  const { queue, clock } = run(async () => {
    runs += 1;
    throw new ApiError({ status: 403, reason: 'Forbidden', message: 'the quota is used up' });
  });

  queue.add('a');
  await clock.advance(4999);
  expect(runs).toBe(1);
  await clock.advance(1);

  expect(runs).toBe(2);
});

test('does not try again what failed for good, until the key is added', async () => {
  let runs = 0;
  const { queue, clock, text } = run(async () => {
    runs += 1;
    throw new TerminalError('spec.storage: cannot be changed');
  });

  queue.add('a');
  await clock.advance(3_600_000);
  expect(runs).toBe(1);
  queue.add('a');
  await clock.advance(0);

  expect(runs).toBe(2);
  expect(await text()).toContain('controller_runtime_terminal_reconcile_errors_total{controller="test"} 2');
});

test('aborts a reconcile at its deadline', async () => {
  const reasons: unknown[] = [];
  const { queue, clock } = run(
    (_, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reasons.push(signal.reason);
          reject(signal.reason);
        });
      }),
  );

  queue.add('a');
  await clock.advance(9999);
  expect(reasons).toEqual([]);
  await clock.advance(1);

  expect(reasons).toEqual([expect.any(DeadlineError)]);
});

test('runs as many reconciles at a time as there are workers, and one for each key', async () => {
  const open = new Map<string, () => void>();
  const { queue, clock } = run((key) => new Promise((resolve) => open.set(key, () => resolve({}))), 2);

  for (const key of ['a', 'b', 'c']) queue.add(key);
  await clock.advance(0);
  queue.add('a');
  await clock.advance(0);
  expect([...open.keys()]).toEqual(['a', 'b']);
  open.get('b')?.();
  await clock.advance(0);

  expect([...open.keys()]).toEqual(['a', 'b', 'c']);
});

test('aborts what runs and ends when it is stopped, without retries', async () => {
  const { queue, clock, abort, ended, lines } = run(
    (_, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  );
  queue.add('a');
  await clock.advance(0);

  abort.abort(new Error('the lease is lost'));
  await ended;
  await clock.advance(60_000);

  expect(queue.depth).toBe(0);
  expect(lines).toEqual([]);
});
