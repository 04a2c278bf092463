import { expect, test } from 'vitest';

import { VirtualClock } from '../../../test/helpers/virtual-clock.ts';
import { createLogger } from '../../shared/logger.ts';
import { createOperatorMetrics } from '../metrics.ts';
import { ApiError } from './errors.ts';
import { EventWriter } from './events.ts';
import type { KubeClient, KubeObject } from './types.ts';

interface Written {
  readonly created: KubeObject[];
  /** Counts that were written to existing events. */
  readonly counted: number[];
}

function refused(): never {
  throw new TypeError('events need no such call');
}

function recorder(expired: () => boolean = () => false): Written & {
  readonly events: EventWriter;
  readonly clock: VirtualClock;
  readonly text: () => Promise<string>;
} {
  const created: KubeObject[] = [];
  const counted: number[] = [];
  const client: KubeClient = {
    create: async <T extends KubeObject>(_: unknown, object: KubeObject) => {
      created.push(object);
      return object as T;
    },
    mergePatch: async <T extends KubeObject>(...[, , patch]: [unknown, unknown, object]) => {
      if (expired()) throw new ApiError({ status: 404, reason: 'NotFound', message: 'not found' });
      counted.push((patch as { series: { count: number } }).series.count);
      return patch as T;
    },
    get: refused,
    replace: refused,
    apply: refused,
    delete: refused,
    serves: refused,
  };
  const clock = new VirtualClock();
  const metrics = createOperatorMetrics();
  const events = new EventWriter({
    client,
    reportingController: 'example.org/test',
    reportingInstance: 'pod-0',
    clock,
    logger: createLogger({ level: 'silent' }),
    metrics,
  });
  return { created, counted, events, clock, text: () => metrics.registry.metrics() };
}

const REGARDING: KubeObject = {
  apiVersion: 'example.org/v1',
  kind: 'Thing',
  metadata: { name: 'a', namespace: 'ns', uid: 'uid-a' },
};

function warning(note: string): Parameters<EventWriter['event']>[1] {
  return { type: 'Warning', reason: 'Broken', action: 'Check', note };
}

test('counts a repetition within ten minutes up, and begins anew after that', async () => {
  const { events, clock, created, counted } = recorder();

  events.event(REGARDING, warning('x'));
  events.event(REGARDING, warning('x'));
  events.event(REGARDING, warning('x'));
  await events.flush();
  expect([created.length, counted]).toEqual([1, [2, 3]]);
  await clock.advance(601_000);
  events.event(REGARDING, warning('x'));
  await events.flush();

  expect([created.length, counted]).toEqual([2, [2, 3]]);
});

test('makes a new event when the counted one has expired', async () => {
  const { events, created } = recorder(() => true);

  events.event(REGARDING, warning('x'));
  events.event(REGARDING, warning('x'));
  await events.flush();

  expect(created).toHaveLength(2);
  expect(new Set(created.map(({ metadata }) => metadata.name)).size).toBe(1);
});

test('combines more than ten notes that differ only in their text', async () => {
  const { events, created, counted } = recorder();

  for (let index = 0; index < 15; index += 1) events.event(REGARDING, warning(`attempt ${index}`));
  await events.flush();

  expect(created.map((event) => event['note'])).toEqual([
    ...Array.from({ length: 10 }, (_, index) => `attempt ${index}`),
    '(combined from similar events)',
  ]);
  expect(counted).toEqual([2, 3, 4, 5]);
});

test('drops what one object causes beyond 25, and lets one more pass every five minutes', async () => {
  const { events, clock, created, counted, text } = recorder();
  const other = { ...REGARDING, metadata: { ...REGARDING.metadata, uid: 'uid-b' } };

  for (let index = 0; index < 40; index += 1) events.event(REGARDING, warning('x'));
  events.event(other, warning('x'));
  await events.flush();
  expect(created.length + counted.length).toBe(26);
  await clock.advance(300_000);
  events.event(REGARDING, warning('x'));
  events.event(REGARDING, warning('x'));
  await events.flush();

  expect(created.length + counted.length).toBe(27);
  expect(await text()).toContain('registry_operator_dropped_events_total{reason="rate"} 16');
});

test('describes the object, the process and the moment, and shortens a long note', async () => {
  const { events, created } = recorder();

  events.event(REGARDING, warning('x'.repeat(2000)));
  await events.flush();

  expect(created[0]).toMatchObject({
    metadata: { namespace: 'ns', name: expect.stringMatching(/^a\.[0-9a-f]{16}$/) },
    eventTime: '2026-01-01T00:00:00.000000Z',
    reportingController: 'example.org/test',
    reportingInstance: 'pod-0',
    regarding: { apiVersion: 'example.org/v1', kind: 'Thing', name: 'a', namespace: 'ns', uid: 'uid-a' },
    note: 'x'.repeat(1024),
  });
});
