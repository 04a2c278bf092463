import { expect, test } from 'vitest';

import { VirtualClock } from '../../../test/helpers/virtual-clock.ts';
import { Discovery, DISCOVERY_TTL_MS } from './discovery.ts';
import { ApiError } from './errors.ts';
import { KINDS } from './kinds.ts';
import type { HttpAnswer } from './transport.ts';

function answer(status: number, body: object = {}): HttpAnswer {
  return { status, headers: {}, text: JSON.stringify(body) };
}

const INSTALLED = answer(200, {
  resources: [{ name: 'servicemonitors' }, { name: 'servicemonitors/status' }],
});

test('asks no more often than every five minutes', async () => {
  const clock = new VirtualClock();
  const asked: string[] = [];
  let current = answer(404);
  const discovery = new Discovery({
    clock,
    fetch: async (path) => {
      asked.push(path);
      return current;
    },
  });
  expect(await discovery.serves(KINDS.serviceMonitor)).toBe(false);
  current = INSTALLED;

  clock.stall(DISCOVERY_TTL_MS - 1);
  expect(await discovery.serves(KINDS.serviceMonitor)).toBe(false);
  clock.stall(1);
  expect(await discovery.serves(KINDS.serviceMonitor)).toBe(true);

  expect(asked).toEqual(['/apis/monitoring.coreos.com/v1', '/apis/monitoring.coreos.com/v1']);
});

test('takes over what lists and applies have shown', async () => {
  let current = answer(404);
  const discovery = new Discovery({ clock: new VirtualClock(), fetch: async () => current });
  expect(await discovery.serves(KINDS.serviceMonitor)).toBe(false);

  discovery.learn(KINDS.serviceMonitor, true);
  expect(await discovery.serves(KINDS.serviceMonitor)).toBe(true);
  discovery.learn(KINDS.serviceMonitor, false);
  expect(await discovery.serves(KINDS.serviceMonitor)).toBe(false);

  current = INSTALLED;
  discovery.forget(KINDS.serviceMonitor);
  expect(await discovery.serves(KINDS.serviceMonitor)).toBe(true);
});

test('remembers nothing when the API server cannot say', async () => {
  let current = answer(503, {
    kind: 'Status',
    message: 'the server is currently unable to handle the request',
  });
  const discovery = new Discovery({ clock: new VirtualClock(), fetch: async () => current });

  await expect(discovery.serves(KINDS.serviceMonitor)).rejects.toBeInstanceOf(ApiError);
  current = INSTALLED;

  expect(await discovery.serves(KINDS.serviceMonitor)).toBe(true);
});
