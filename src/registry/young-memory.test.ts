import { execFile } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { expect, test, vi } from 'vitest';

import { growYoungMemoryWhenBusy } from './young-memory.ts';

const run = promisify(execFile);
const MODULE = fileURLToPath(new URL('young-memory.ts', import.meta.url));

/** Makes objects that survive, and tells how large the memory for young objects has become: idle, and when busy. */
const PROGRAM = `
  import { EventEmitter } from 'node:events';
  import { getHeapSpaceStatistics } from 'node:v8';
  import { growYoungMemoryWhenBusy, keepYoungMemorySmall } from ${JSON.stringify(MODULE)};

  const kept = [];
  const timers = [];
  globalThis.setInterval = (look) => (timers.push(look), { unref() {}, [Symbol.toPrimitive]: () => 0 });
  function youngBytes() {
    return getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size;
  }
  function work() {
    for (let round = 0; round < 40; round++) {
      for (let count = 0; count < 20000; count++) kept[count] = { round, text: 'x' + count };
    }
    return youngBytes();
  }
  const server = new EventEmitter();
  keepYoungMemorySmall();
  growYoungMemoryWhenBusy(server, { cpuMicros: () => 0 });
  const idle = work();
  for (let count = 0; count < 499; count++) server.emit('request');
  const nearly = work();
  server.emit('request');
  const busy = work();
  const listeners = server.listenerCount('request');
  kept.length = 0;
  // The time of half a minute without anything to do has passed.
  timers.splice(0).forEach((look) => [look, look, look].forEach((one) => one()));
  while (youngBytes() > 2 * idle) await new Promise((resolve) => setTimeout(resolve, 10));
  console.log(JSON.stringify([idle, nearly, busy, listeners, server.listenerCount('request'), typeof gc]));
`;

test('keeps the memory for young objects small until there were many requests, and makes it small again at rest', async () => {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', PROGRAM], { timeout: 30_000 });

  const [idle = 0, nearly, busy, listeners, after, collector]: number[] = JSON.parse(stdout);
  expect(idle).toBeLessThan(4 << 20);
  expect(nearly).toBe(idle);
  expect(busy).toBeGreaterThan(2 * idle);
  expect(listeners).toBe(0);
  expect(after).toBe(1);
  expect(collector).toBe('undefined');
});

test('collects once, half a minute after the last work, and again after the next load', () => {
  vi.useFakeTimers();
  try {
    const server = new EventEmitter();
    const collect = vi.fn<() => Promise<void>>(async () => undefined);
    let cpu = 0;
    growYoungMemoryWhenBusy(server, { cpuMicros: () => cpu, collect });
    const load = () => {
      for (let count = 0; count < 500; count++) server.emit('request');
    };
    vi.advanceTimersByTime(100_000);
    load();
    for (let second = 0; second < 60; second++) {
      cpu += 50_000;
      vi.advanceTimersByTime(1000);
    }
    vi.advanceTimersByTime(20_000);

    expect(collect).not.toHaveBeenCalled();

    vi.advanceTimersByTime(600_000);

    expect(collect).toHaveBeenCalledOnce();

    load();
    vi.advanceTimersByTime(600_000);

    expect(collect).toHaveBeenCalledTimes(2);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
