import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { expect, test } from 'vitest';

const run = promisify(execFile);
const MODULE = fileURLToPath(new URL('young-memory.ts', import.meta.url));

/** Makes objects that survive, and tells how large the memory for young objects has become: idle, and when busy. */
const PROGRAM = `
  import { EventEmitter } from 'node:events';
  import { getHeapSpaceStatistics } from 'node:v8';
  import { growYoungMemoryWhenBusy, keepYoungMemorySmall } from ${JSON.stringify(MODULE)};

  const kept = [];
  function work() {
    for (let round = 0; round < 40; round++) {
      for (let count = 0; count < 20000; count++) kept[count] = { round, text: 'x' + count };
    }
    return getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size;
  }
  const server = new EventEmitter();
  keepYoungMemorySmall();
  growYoungMemoryWhenBusy(server);
  const idle = work();
  for (let count = 0; count < 499; count++) server.emit('request');
  const nearly = work();
  server.emit('request');
  console.log(JSON.stringify([idle, nearly, work(), server.listenerCount('request')]));
`;

test('keeps the memory for young objects small until there were many requests', async () => {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', PROGRAM]);

  const [idle, nearly, busy, listeners]: number[] = JSON.parse(stdout);
  expect(idle).toBeLessThan(4 << 20);
  expect(nearly).toBe(idle);
  expect(busy).toBeGreaterThan(2 * (idle ?? 0));
  expect(listeners).toBe(0);
});
